"""Checks of the metadata of a GGUF file, one file per stage."""

from sft_ref.harness.core.check import checks_in

from . import generate, prompt, tokens

CHECKS = checks_in(prompt, tokens, generate)
