"""Checks of the stage tokens: from training text to ids and labels."""

from sft_ref.harness.check import Check

CHECKS: tuple[Check, ...] = ()
