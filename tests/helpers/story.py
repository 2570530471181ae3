"""The code base of the story as an implementation: `PYTHONPATH=tests/helpers:tests/mutants sft-ref grade story:Story`.

It is trained in fp32 and loaded in fp16, and its parser requires an opening tag that the prompt has consumed.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import loaded_in_fp16
import parser_wants_the_open_tag

from sft_ref.harness.core.implementation import Answerer
from sft_ref.harness.recorders.in_process.reference import Reference


class Story(Reference):
    """The reference with both faults, from its first call of `load` on."""

    def __init__(self) -> None:
        super().__init__(name="story")
        self.faults = contextlib.ExitStack()

    def load(self, folder: Path) -> Answerer:
        """See `Implementation`."""
        self.faults.close()
        for mutant in (loaded_in_fp16.MUTANT, parser_wants_the_open_tag.MUTANT):
            self.faults.enter_context(mutant.alive())
        return super().load(folder)
