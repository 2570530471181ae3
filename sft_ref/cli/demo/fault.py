"""Plants the fault of the story in a working fine-tune: the harness names it, and a swap experiment proves it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from sft_ref.harness.checks.in_process import CHECKS
from sft_ref.harness.checks.runner import plan_for
from sft_ref.harness.core.implementation import Answerer, TaskRow, TrainingResult
from sft_ref.harness.grading.in_process.contract import grade_implementation
from sft_ref.harness.recorders.in_process.reference import Reference
from sft_ref.harness.report.terminal import show_verdict
from sft_ref.reference.data import score
from sft_ref.reference.guards.adapter_files import read_tensors
from sft_ref.reference.prompt import OPEN_TAG, parse_answer
from sft_ref.reference.settings import Settings
from sft_ref.reference.sft import Sample

SHOWN = ("PRM-003", "GEN-009", "PRS-001", "PRS-003")
"""Ids of the checks to run; none of them needs another training."""


def parse_between_tags(text: str) -> float:
    """Parses an answer with the planted fault: requires the opening tag, which the prompt has consumed."""
    _, tag, rest = text.partition(OPEN_TAG)
    return parse_answer(rest) if tag else math.nan


class FaultyParser(Reference):
    """A trained adapter, loaded by the reference, with the faulty parser in place of the reference's."""

    def __init__(self, trained: Path, base: str) -> None:
        super().__init__(base, name="a parser that requires the opening tag")
        self.trained = trained

    def train(self, folder: Path, rows: Sequence[TaskRow], settings: Settings) -> TrainingResult:
        """Copies the adapter, which is already trained; see `Implementation`."""
        shutil.copytree(self.trained, folder)
        return TrainingResult(folder, adapter=read_tensors(folder), losses=(), settings=settings)

    def load(self, folder: Path) -> Answerer:
        """See `Implementation`."""
        answerer = super().load(folder)
        vars(answerer)["parse_answer"] = parse_between_tags
        return answerer


def show_fault(folder: Path, base: str, samples: Sequence[Sample]) -> None:
    """Prints the harness's verdict on the fault, and the scores of the same completions under both parsers.

    Args:
        folder: folder of the trained adapter.
        base: base model that it was trained on.
        samples: completions of the adapter.
    """
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"\nThe same adapter, with a fault: a parser that requires {OPEN_TAG}, which the prompt has consumed.\n"
    )
    implementation = FaultyParser(folder, base)
    planned = plan_for(implementation, CHECKS, only=SHOWN)
    with Console(stderr=True).status("grading"):
        verdict = grade_implementation(implementation, implementation.name, planned, lambda: None)
    # hides what a user of the demo need not know: the checks, and the size on a larger base
    show_verdict(replace(verdict, results=(), size=""), Console(highlight=False))
    truths = [sample.truth for sample in samples]
    parsers = {"its parser": parse_between_tags, "the reference's parser in its place": parse_answer}
    console.print(f"The same {len(samples)} completions, read by")
    for name, parse in parsers.items():
        console.print(f"  {name:<36}{score([parse(sample.completion) for sample in samples], truths)}")
