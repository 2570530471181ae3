"""Checks of the weights of a merged model."""

from sft_ref.harness.core.check import checks_in

from . import artifact

CHECKS = checks_in(artifact)
