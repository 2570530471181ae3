"""Checks of a submission, from what it did at the boundaries of the libraries: a file per stage."""

from sft_ref.harness.core.check import checks_in

from . import artifact, generate, load, parse, prompt, score, tokens, train

CHECKS = checks_in(prompt, tokens, train, artifact, load, generate, parse, score)
