"""Checks of the stage prompt: from question to the text that the model completes."""

from sft_ref.harness.check import Check

CHECKS: tuple[Check, ...] = ()
