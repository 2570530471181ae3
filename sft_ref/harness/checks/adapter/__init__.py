"""Checks of a bare adapter, a file a stage, or a file a part of it where a stage has many."""

from __future__ import annotations

from sft_ref.harness.core.check import Check, in_order

from . import answers, files, keys, load, values

CHECKS: tuple[Check, ...] = in_order((*files.CHECKS, *keys.CHECKS, *values.CHECKS, *load.CHECKS, *answers.CHECKS))
