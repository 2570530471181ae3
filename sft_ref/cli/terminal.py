"""Terminal output: the progress of a training, the precision of a loaded adapter, and answers next to true answers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from sft_ref.console.printable import printable
from sft_ref.reference.base_llm import BaseLLM
from sft_ref.reference.guards.adapter_files import read_tensors
from sft_ref.reference.guards.dtypes import count_dtypes, differences, output_dtypes, summarize_dtypes
from sft_ref.reference.guards.progress import Step
from sft_ref.reference.precision import find_policy
from sft_ref.reference.record import Record, read_record
from sft_ref.reference.sft import Sample

SAMPLES_SHOWN = 10


@contextlib.contextmanager
def training_progress(steps: int) -> Iterator[Callable[[Step], None]]:
    """Shows a progress bar with loss, tokens per second and time left; yields the function that updates it.

    If the output is not a terminal, prints a line every 20 steps and after the last step instead.
    """
    console = Console()
    with Progress(
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("", total=steps, figures="preparing")

        def report(step: Step) -> None:
            figures = f"loss {step.loss:.3f}  {step.tokens_per_second:.0f} tokens/s"
            progress.update(task, completed=step.step, figures=figures)
            if not console.is_terminal and (step.step % 20 == 0 or step.step == steps):
                console.print(f"training {step.step}/{steps}  {figures}")

        yield report


@contextlib.contextmanager
def asking_progress() -> Iterator[Callable[[int], None]]:
    """Shows how many questions are answered so far; yields the function that updates the number."""
    console = Console(stderr=True)
    with console.status("asking") as status:
        yield lambda done: status.update(f"asking: {done} answered")


def show_precision(llm: BaseLLM, folder: Path) -> None:
    """Prints the policy, and the dtypes recorded in training and found after loading."""
    console = _lines()
    record = _show_trained(llm, folder)
    console.print(f"loaded:  {summarize_dtypes(count_dtypes(llm.model))}")
    if record and record.computed:
        with output_dtypes(llm.model) as answering:
            llm.answer("How many gram are there per 6 kg?")
        lines = differences(record.computed, answering) or ["as in training, in every class of module"]
        for line in lines:
            console.print(f"computed: {printable(line)}")


def show_exported(llm: BaseLLM, folder: Path) -> None:
    """Prints the policy, the dtypes recorded in training, and the engine's compute precision."""
    _show_trained(llm, folder)
    _lines().print(f"loaded:  {llm.model}")


def _show_trained(llm: BaseLLM, folder: Path) -> Record | None:
    console = _lines()
    record = read_record(folder, read_tensors(folder))
    console.print(f"policy: {llm.policy} on {llm.device}: {llm.policy.why}")
    if record is None:
        console.print("trained: no record beside the adapter; base dtype unknown")
    else:
        console.print(f"trained: {printable(summarize_dtypes(record.dtypes))}")
        if record.policy != llm.policy.name:
            console.print(f"loaded on purpose under another policy than the trained one, {find_policy(record.policy)}")
    return record


def _lines() -> Console:
    return Console(soft_wrap=True, highlight=False, markup=False)


def _answer(answer: float | str) -> str:
    return printable(answer) if isinstance(answer, str) else f"{answer:g}"


def show_samples(samples: Sequence[Sample]) -> None:
    """Prints a table of the first questions: raw completion, parsed answer, true answer and verdict."""
    table = Table(title=f"the first {min(SAMPLES_SHOWN, len(samples))} of {len(samples)} questions")
    for column in ("question", "completion"):
        table.add_column(column, overflow="fold")
    for column in ("answer", "truth"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    for sample in samples[:SAMPLES_SHOWN]:
        verdict = Text("right", "green") if sample.right else Text("wrong", "red")
        cells = (
            printable(sample.question),
            printable(sample.completion),
            _answer(sample.answer),
            _answer(sample.truth),
        )
        table.add_row(*map(Text, cells), verdict)
    Console().print(table)
