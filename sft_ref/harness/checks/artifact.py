"""Checks of the stage artifact: the folder that training leaves."""

from sft_ref.harness.check import Check

CHECKS: tuple[Check, ...] = ()
