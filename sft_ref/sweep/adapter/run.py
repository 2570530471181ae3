"""Loads an adapter in one way after another, and yields the figures of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sft_ref.errors import PrecisionError
from sft_ref.harness.recorders.folder.answers.asking import Asker
from sft_ref.harness.recorders.folder.answers.choice import check_writing, choose_wording, read_template
from sft_ref.harness.recorders.folder.answers.examine import write_numbers
from sft_ref.harness.recorders.folder.tokenizers import load_tokenizer_of
from sft_ref.io.rows.forms import Row, read_rows
from sft_ref.reference.precision import POLICIES, check_can_compute, find_device
from sft_ref.sweep.cell import CellVerdict
from sft_ref.sweep.determinism import deterministic

from .figures import WayFigures
from .loading import StoredAdapter, Way, find_way, load
from .measure import Observed, compared, observe


@dataclass(frozen=True)
class AdapterPlan:
    """The parameters of a sweep over the ways to load one adapter.

    Attributes:
        folder: of the adapter.
        data: a file of questions and answers.
        base: of the adapter; None takes the one that its configuration names.
        load: ways to load, the one that the others are compared with first.
        prompt, chat_template: how texts are written, as `choose_wording` takes them.
    """

    folder: Path
    data: Path
    base: str | None = None
    load: tuple[str, ...] = tuple(POLICIES)
    prompt: str | None = None
    chat_template: str | None = None

    def ways(self) -> list[Way]:
        """The ways to load, each once.

        Raises:
            PrecisionError: a name is none.
        """
        return [find_way(name) for name in dict.fromkeys(self.load)]


def sweep_adapter(plan: AdapterPlan, adapter: StoredAdapter) -> Iterator[WayFigures]:
    """Yields the figures of each way as they are known.

    Args:
        plan: the parameters.
        adapter: as `read_adapter` reads it.

    Raises:
        SftRefError: the rows or the prompt cannot be used, or the first way cannot be run here.
    """
    check_writing(plan.prompt, plan.chat_template)
    ways = plan.ways()
    rows: Sequence[Row] = read_rows(plan.data, prompt=plan.prompt)
    tokenizer = load_tokenizer_of(plan.folder, str(adapter.base))
    write = partial(
        choose_wording,
        tokenizer=tokenizer.tokenizer,
        prompt=plan.prompt,
        template=read_template(plan.chat_template, tokenizer.template),
        by_name=plan.chat_template is not None,
        data=plan.data,
    )
    texts = write(rows).texts
    questions = [row.question for row in rows]
    device = find_device()
    check_can_compute(ways[0].policy, device)
    first: Observed | None = None
    with deterministic(device):
        for way in ways:
            try:
                check_can_compute(way.policy, device)
            except PrecisionError as error:
                yield WayFigures(way.name, CellVerdict.NOT_RUN, str(error))
                continue
            model = load(adapter, way).to(device)
            if first is None:  # it decides how numbers are written: as 24 or as 24.0
                rows = write_numbers(Asker(model, tokenizer.tokenizer), rows, lambda rows: [write(rows)])
                texts = write(rows).texts
            found = observe(model, way, tokenizer.tokenizer, rows, texts)
            first = first or found
            yield compared(found, first, way, questions)
