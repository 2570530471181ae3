"""The default split, whatever was asked for."""

from collections.abc import Sequence

from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference.data import Row, split_rows
from sft_ref.reference.sft import TestResult, ask


def on_training_rows(llm: BaseLLM, rows: Sequence[Row] | None = None) -> TestResult:
    return ask(llm, split_rows("train")[: len(rows or [])])


MUTANT = Mutant(
    id="train-scored",
    stage="score",
    checks=("SCR-001",),
    fault="the score is that of training questions",
    source="ours",
    patches={"sft_ref.reference.sft.ask": on_training_rows},
)
