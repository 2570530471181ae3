"""Loads an adapter in one way after another, and yields the figures of each way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sft_ref.errors import EngineError, PrecisionError
from sft_ref.harness.recorders.folder.answers.choice import check_writing, choose_wording, read_template
from sft_ref.harness.recorders.folder.answers.evaluator import ModelEvaluator
from sft_ref.harness.recorders.folder.answers.examine import write_numbers
from sft_ref.harness.recorders.folder.tokenizers import load_tokenizer_of
from sft_ref.io.rows.forms import Row, read_rows
from sft_ref.reference.precision import POLICIES, check_can_compute, find_device
from sft_ref.sweep.cell import CellVerdict
from sft_ref.sweep.determinism import deterministic

from .cache import FirstWay, WayCache
from .figures import WayFigures
from .loading import StoredAdapter, Way, find_way, load
from .measure import compared, observe


@dataclass(frozen=True)
class AdapterPlan:
    """The parameters of a sweep over the ways to load one adapter.

    Attributes:
        folder: folder of the adapter.
        data: file of questions and answers.
        base: base of the adapter; None takes the one that its configuration names.
        load: names of the ways to load; the others are compared with the first.
        prompt, chat_template: format of the texts, as `choose_wording` takes them.
    """

    folder: Path
    data: Path
    base: str | None = None
    load: tuple[str, ...] = tuple(POLICIES)
    prompt: str | None = None
    chat_template: str | None = None

    def ways(self) -> list[Way]:
        """Returns the ways to load, without duplicates.

        Raises:
            PrecisionError: a name is unknown.
        """
        return [find_way(name) for name in dict.fromkeys(self.load)]


def sweep_adapter(plan: AdapterPlan, adapter: StoredAdapter, cache: WayCache) -> Iterator[WayFigures]:
    """Yields the figures of each way as it finishes; takes those of an interrupted sweep from the cache.

    Args:
        plan: parameters of the sweep.
        adapter: the adapter, as `read_adapter` returns it.
        cache: store of finished ways; it is removed at the end.

    Raises:
        SftRefError: the rows or the prompt cannot be used, or the first way cannot run here.
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
    write(rows)  # refuses an unusable prompt before a model is loaded
    device = find_device()
    first = cache.read_first()
    with deterministic(device):
        for way in ways:
            figures = cache.read_figures(way.name)
            if figures is None:
                try:
                    check_can_compute(way.policy, device)
                    model = load(adapter, way).to(device)
                except (EngineError, PrecisionError) as error:
                    if first is None:
                        raise  # the other ways have nothing to be compared with
                    figures = WayFigures(way.name, CellVerdict.NOT_RUN, str(error))
                else:
                    if first is None:  # the first way decides the number format: 24 or 24.0
                        asker = ModelEvaluator(model, tokenizer.tokenizer)
                        rows = write_numbers(asker, rows, lambda rows: [write(rows)])
                    else:
                        rows = first.rows
                    found = observe(model, way, tokenizer.tokenizer, rows, write(rows).texts)
                    if first is None:
                        first = FirstWay(tuple(rows), found)
                        cache.write_first(first)
                    figures = compared(found, first.observed, way, [row.question for row in rows])
                cache.write_figures(figures)
            yield figures
    cache.remove()
