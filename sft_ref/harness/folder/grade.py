"""The verdict on an adapter folder: find its base, record the folder, run the checks, conclude."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sft_ref.errors import SubmissionError
from sft_ref.harness.check import Check, Outcome, Result
from sft_ref.harness.diagnosis import cause_of, cleared_of, coverage_of, notes_of, standing_of, suspects_of
from sft_ref.harness.repeat import repeat_command
from sft_ref.harness.runner import plan, run
from sft_ref.harness.sizes import UNLIMITED, SizeLimits
from sft_ref.harness.stages import ADAPTER_STAGES
from sft_ref.harness.verdict import Coverage, Verdict
from sft_ref.models import find_base

from .checks import CHECKS
from .config import base_of, read_table, why_not_judged
from .evidence import Evidence
from .files import DamagedError, find_files, named_adapters
from .recorder import record

_NEEDS = {"prompt": "prompt", "base identity": "data", "scaling": "data", "generate": "data"}
"""Stage -> the option without which it cannot be examined."""


def grade_adapter(
    folder: Path,
    called: str,
    *,
    base: str | None,
    prompt: str | None,
    data: Path | None = None,
    only: Sequence[str] = (),
    sizes: SizeLimits = UNLIMITED,
    report: Callable[[str], None] = lambda text: None,
) -> Verdict:
    """The verdict on an adapter folder.

    Args:
        folder: with adapter_config.json and its tensors; not changed.
        called: the name by which it was asked for.
        base: of the adapter; None takes the one that it names.
        prompt: how its texts are written, with ``{question}`` and ``{answer}`` in it; None where that is not known.
        data: rows of questions and answers; None where there are none.
        only: ids of checks, and none else.
        sizes: limits of size; they bind only where they are given.
        report: called with the id and outcome of each check as it ends.

    Raises:
        SubmissionError: the prompt lacks question or answer, or neither --base nor the configuration names a base.
        BaseModelError: the base is not at hand.
    """
    from sft_ref.harness.registry import choose_checks  # which lists the checks of this package

    if prompt is not None and not 0 <= prompt.find("{question}") < prompt.find("{answer}"):
        raise SubmissionError(
            f"--prompt {prompt!r}: write {{question}} and then {{answer}} where they stand in its texts"
        )
    began = time.perf_counter()
    choose_checks(only)  # refuses unknown ids
    planned = plan(CHECKS, claims_contract=True, only=only)
    notes = list(_notes_on_names(folder))
    try:
        table = read_table(folder)
    except DamagedError as error:
        table, damage = {}, str(error)
    else:
        damage = ""
    if reason := why_not_judged(table):
        results = [_skipped(each, f"not judged: {reason}") for each in planned]
        notes.append(f"not judged: {reason}: only LoRA for causal language models is understood")
        coverage = tuple(Coverage(stage, shown=False, reason=f"not judged: {reason}") for stage in ADAPTER_STAGES)
        return _conclude(called, results, coverage, notes, began)
    named = base or base_of(table) or ""
    if damage:
        evidence = Evidence(find_files(folder), config_problem=damage)
    elif not named:
        raise SubmissionError(f"{folder.name}: its configuration names no base; give --base")
    else:
        evidence = record(folder, table, find_base(named), limits=sizes)
    again = repeat_command(called, {"base": base, "prompt": prompt, "data": data})
    results = []
    for result in run(planned, evidence, repeat=again):
        results.append(result)
        report(f"{result.check.id} {result.outcome}")
    notes += _notes_on(evidence, named)
    given = {"prompt": prompt, "data": data}
    coverage = tuple(_name_option(each, results, given) for each in coverage_of(results, ADAPTER_STAGES))
    verdict = _conclude(called, results, coverage, notes, began)
    return replace(verdict, size=str(evidence.size) if evidence.size else "")


def _conclude(
    called: str, results: Sequence[Result], coverage: tuple[Coverage, ...], notes: Iterable[str], began: float
) -> Verdict:
    suspects = suspects_of(results)
    return Verdict(
        path=called,
        standing=standing_of(suspects, coverage),
        suspects=suspects,
        cause=cause_of(suspects),
        cleared=cleared_of(results),
        notes=("not sandboxed: nothing of the folder is executed", *notes, *notes_of(results)),
        seconds=time.perf_counter() - began,
        results=tuple(results),
        coverage=coverage,
    )


def _name_option(coverage: Coverage, results: Sequence[Result], given: dict[str, Any]) -> Coverage:
    """A stage of which nothing ran, with the option that is missing for it."""
    option = _NEEDS.get(coverage.stage)
    if option is None or given[option] is not None or any(each.check.stage == coverage.stage for each in results):
        return coverage
    return replace(coverage, reason=f"no --{option} was given")


def _skipped(check: Check, reason: str) -> Result:
    return Result(check, Outcome.SKIPPED, 0.0, seen=reason)


def _notes_on_names(folder: Path) -> Iterable[str]:
    if others := named_adapters(folder):
        yield (
            f"graded is the adapter at the top of the folder; it also holds {', '.join(others)}, not graded:"
            f" give {folder.name}/{others[0]} to grade it"
        )


def _notes_on(evidence: Evidence, base: str) -> Iterable[str]:
    if base:
        yield f"a bare adapter over {base}"
    tokens, expected = evidence.tokens, evidence.expected
    if tokens is not None and tokens.is_own:
        yield "its own tokenizer and chat template are used before the base's"
    if tokens is not None and tokens.problem:
        yield f"the tokenizer beside it cannot be loaded ({tokens.problem}): the base's is used"
    if expected is not None and expected.grown != expected.rows:
        yield f"the vocabulary is resized from {expected.rows} to {expected.grown} tokens, as its file is"
