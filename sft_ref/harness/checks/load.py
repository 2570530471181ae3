"""Checks of the stage load: from the folder to a model in memory."""

from sft_ref.harness.check import Check

CHECKS: tuple[Check, ...] = ()
