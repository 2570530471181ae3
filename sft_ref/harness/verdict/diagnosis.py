"""Derives the verdict and its cause from the results of checks. Never runs a check."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sft_ref.harness.core.check import Level, Outcome, Result
from sft_ref.harness.core.stages import STAGES, SUBMISSION_STAGES
from sft_ref.harness.core.verdict import Coverage, Status, Suspect, Verdict

_PASSED = (Outcome.PASS, Outcome.ADVICE)
_DECIDED = (*_PASSED, Outcome.FAIL)


def decide_survival(results: Iterable[Result], *, answers_survive: bool) -> list[Result]:
    """Marks survivable failures as survived, and so as drift, if answers to fresh questions are good."""
    return [replace(result, survived=result.survivable and answers_survive) for result in results]


def suspects_of(results: Sequence[Result]) -> tuple[Suspect, ...]:
    """Returns a suspect for each stage with a failed check, in pipeline order."""
    failed = [result for result in results if result.outcome is Outcome.FAIL]
    return tuple(
        _suspect(stage, found)
        for stage in STAGES.values()
        if (found := [result for result in failed if result.check.stage == stage])
    )


def cause_of(suspects: Sequence[Suspect]) -> str:
    """Joins all causes in one line, broken stages before drifting ones."""
    ordered = sorted(suspects, key=lambda suspect: suspect.status is not Status.BROKEN)
    return " ".join(f"{suspect.stage}: {suspect.cause}." for suspect in ordered)


def status_of(suspects: Sequence[Suspect], coverage: Sequence[Coverage], *, broke: bool) -> Status:
    """Returns the status: `sound` only if no stage is at fault, every stage was examined, and the harness did not fail.

    Args:
        suspects: the stages at fault.
        coverage: coverage of the stages of the target's kind.
        broke: whether the harness failed, in a check or after the checks.
    """
    statuses = {suspect.status for suspect in suspects}
    if Status.BROKEN in statuses:
        return Status.BROKEN
    if broke:
        return Status.NOT_SHOWN
    if statuses:
        return Status.DRIFT
    return Status.SOUND if coverage and all(each.examined for each in coverage) else Status.NOT_SHOWN


def verdict_of(
    results: Sequence[Result],
    path: str,
    *,
    stages: Iterable[str] = SUBMISSION_STAGES,
    notes: Iterable[str] = (),
    errors: Sequence[str] = (),
) -> Verdict:
    """Derives a verdict from the checks alone.

    Args:
        results: results of all planned checks.
        path: the target, as the user named it.
        stages: the stages of the target's kind.
        notes: further remarks for the reader.
        errors: errors of the harness after the checks.
    """
    suspects, coverage = suspects_of(results), coverage_of(results, stages)
    broke = bool(errors) or any(result.outcome is Outcome.ERROR for result in results)
    return Verdict(
        path=path,
        status=status_of(suspects, coverage, broke=broke),
        suspects=suspects,
        cause=cause_of(suspects),
        cleared=cleared_of(results),
        notes=(*notes, *notes_of(results), *errors),
        results=tuple(results),
        coverage=coverage,
        errors=tuple(errors),
    )


def error_of(what: str, error: Exception) -> str:
    """Describes an error of the harness after the checks."""
    return f"{what} failed: an error of the harness, not of the target ({type(error).__name__}: {error})"


def coverage_of(results: Sequence[Result], stages: Iterable[str] = SUBMISSION_STAGES) -> tuple[Coverage, ...]:
    """Determines which stages were examined.

    A stage was examined if one of its universal checks failed. It was also examined if one of its universal checks and
    all its core checks passed or failed, and no check ended in an error.

    Args:
        results: results of all planned checks.
        stages: the stages of the target's kind.
    """
    return tuple(_cover(stage, [result for result in results if result.check.stage == stage]) for stage in stages)


def _cover(stage: str, results: Sequence[Result]) -> Coverage:
    universal = [result for result in results if result.check.level is Level.UNIVERSAL]
    undecided = [result for result in results if result.outcome not in _DECIDED]
    if any(result.outcome is Outcome.FAIL for result in universal):
        return Coverage(stage, examined=True)
    if broke := [result for result in undecided if result.outcome is Outcome.ERROR]:
        return Coverage(stage, examined=False, reason=f"{broke[0].check.id} broke ({broke[0].observed})")
    if core := [result for result in undecided if result.check.core]:
        return Coverage(stage, examined=False, reason=_reason(core[0]))
    if any(result.outcome in _DECIDED for result in universal):
        return Coverage(stage, examined=True)
    missing = universal or undecided
    return Coverage(stage, examined=False, reason=_reason(missing[0]) if missing else "none of its checks was run")


def _reason(result: Result) -> str:
    return result.observed.rstrip(".") or f"{result.check.id} was {result.outcome}"


def cleared_of(results: Sequence[Result]) -> dict[str, str]:
    """Returns the number of passing checks of each stage that has some, and none that fails, breaks or is blocked."""
    cleared = {}
    for stage in STAGES.values():
        own = [result for result in results if result.check.stage == stage]
        passed = [result for result in own if result.outcome in _PASSED]
        if passed and all(result.outcome in (*_PASSED, Outcome.SKIPPED) for result in own):
            cleared[stage] = f"{len(passed)} of {len(own)} checks pass"
    return cleared


def notes_of(results: Sequence[Result]) -> tuple[str, ...]:
    """Returns a note on the checks that ended in an error, if any."""
    broke = [result.check.id for result in results if result.outcome is Outcome.ERROR]
    return (f"{', '.join(broke)} broke: an error of the harness, not of the target",) if broke else ()


def _suspect(stage: str, failed: Sequence[Result]) -> Suspect:
    """Combines the failures of a stage; the first one that loses answers, or else the first one, names the cause."""
    first = min(failed, key=lambda result: not result.breaks)
    return Suspect(
        stage=stage,
        cause=f"{_as_sentence(first.observed)}; expected: {first.expected} ({first.check.id})",
        evidence=tuple(f"{result.check.id}: {result.observed}; expected: {result.expected}" for result in failed),
        remedy=first.check.remedy,
        example=first.example,
        status=Status.BROKEN if first.breaks else Status.DRIFT,
        check=first.check.id,
    )


def _as_sentence(observed: str) -> str:
    """Capitalises the observed clause unless its first word is a name; expands a single word to `found WORD`."""
    clause = observed if " " in observed else f"found {observed}"
    word = clause.split(" ", 1)[0]
    return clause[:1].upper() + clause[1:] if word.isalpha() and word not in ("nan", "peft") else clause
