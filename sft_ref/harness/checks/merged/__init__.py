"""Checks of a merged model, from its weights."""

from sft_ref.harness.core.check import checks_in

from . import artifact

CHECKS = checks_in(artifact)
