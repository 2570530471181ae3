"""Checks of the stage generate: from prompts to completions."""

from sft_ref.harness.check import Check

CHECKS: tuple[Check, ...] = ()
