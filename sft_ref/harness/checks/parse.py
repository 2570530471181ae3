"""Checks of the stage parse: from completion to number."""

from sft_ref.harness.check import Check

CHECKS: tuple[Check, ...] = ()
