"""Checks of the stage train: from rows to an adapter."""

from sft_ref.harness.check import Check

CHECKS: tuple[Check, ...] = ()
