"""The adapter is merged for each call, and unmerged after it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mutation import Control
from plain_loop import PLAIN, Answers, PlainLoop


class Merging(Answers):
    def batched_generate(
        self, prompts: Sequence[str], num_return_sequences: int | None = None, temperature: float = 0
    ) -> list[Any]:
        self.model.merge_adapter()
        try:
            return super().batched_generate(prompts, num_return_sequences, temperature)
        finally:
            self.model.unmerge_adapter()


class MergedWhileAnswering(PlainLoop):
    def load(self, folder: Path) -> Answers:
        loaded = super().load(folder)
        return Merging(loaded.model, loaded.tokenizer, self)


CONTROL = Control(
    "merged_while_answering",
    "the adapter is merged for each call and unmerged after it, which rounds weights to fp32 twice",
    lambda: MergedWhileAnswering("merged_while_answering", convention=PLAIN),
)
