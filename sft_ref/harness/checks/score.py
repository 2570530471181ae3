"""Checks of the stage score: from numbers to the figures reported."""

from sft_ref.harness.check import Check

CHECKS: tuple[Check, ...] = ()
