"""The reference with a model that is already loaded."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from sft_ref import BaseLLM
from sft_ref.harness.core.implementation import Answerer
from sft_ref.harness.recorders.in_process.reference import Reference


class GivenModel(Reference):
    """The reference, whose `load` returns the given model."""

    def __init__(self, llm: BaseLLM) -> None:
        super().__init__()
        self.llm = llm

    def load(self, folder: Path) -> Answerer:
        """See `Implementation`."""
        return cast("Answerer", self.llm)
