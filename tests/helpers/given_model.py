"""The reference around a model that is loaded already."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from sft_ref import BaseLLM
from sft_ref.harness.core.implementation import Answerer
from sft_ref.harness.recorders.in_process.reference import Reference


class GivenModel(Reference):
    """The reference, which loads what it is given."""

    def __init__(self, llm: BaseLLM) -> None:
        super().__init__()
        self.llm = llm

    def load(self, folder: Path) -> Answerer:
        """See `Implementation`."""
        return cast("Answerer", self.llm)
