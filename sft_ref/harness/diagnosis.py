"""From the results of checks to a verdict. Works on results; never runs a check."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .check import Check, Level, Outcome, Result
from .stages import STAGES
from .verdict import Standing, Suspect, Verdict

if TYPE_CHECKING:
    from .submission.evidence import Evidence


def conclude(path: str, results: Sequence[Result], evidence: Evidence) -> Verdict:
    """The verdict on a submission: its suspects, what is cleared, and whether the answers bear it out."""
    from .submission.answering import is_better, right

    suspects = suspects_of(results)
    answer_rate, accuracy = evidence.scores
    own = right(evidence.answers(evidence.asked), evidence.questions)
    broken = [suspect for suspect in suspects if suspect.standing is Standing.BROKEN]
    notes = dict.fromkeys((*evidence.training.notes, *evidence.asked.notes))
    due: list[bool] = []
    if not evidence.is_good:
        due = evidence.trained_right if evidence.has_learned else evidence.our_right
    cause = "; ".join(f"{suspect.stage}: {suspect.cause}" for suspect in suspects)
    standing = Standing.SOUND
    if broken:
        standing = Standing.BROKEN
        if due and not is_better(due, own) and evidence.is_good:
            notes["ours answers no better: what was lost is not the answers"] = None
    elif evidence.has_learned and due and is_better(due, own):
        standing = Standing.BROKEN
        cause = (
            f"answers are lost, cause not isolated: {sum(own)} of {len(own)} right, "
            f"{sum(due)} where ours asks the adapter that its training left"
        )
    elif suspects:
        standing = Standing.DRIFT
    return Verdict(
        path=path,
        standing=standing,
        suspects=tuple(suspects),
        cause=cause,
        cleared=cleared_of(results),
        notes=tuple(notes),
        results=tuple(results),
        answer_rate=answer_rate,
        accuracy=accuracy,
    )


def suspects_of(results: Iterable[Result]) -> list[Suspect]:
    """One suspect a stage with a failed check; where a universal one failed, contract ones add nothing."""
    failed: dict[str, list[Result]] = {}
    for result in results:
        if result.outcome is Outcome.FAIL:
            failed.setdefault(result.check.stage, []).append(result)
    suspects = []
    for stage in STAGES.values():
        found = failed.get(stage, [])
        universal = [result for result in found if result.check.level is Level.UNIVERSAL]
        if found:
            suspects.append(_suspect(stage, universal or found, broken=bool(universal)))
    return suspects


def _suspect(stage: str, found: Sequence[Result], *, broken: bool) -> Suspect:
    first = found[0]
    return Suspect(
        stage=stage,
        cause=f"not true that {first.check.statement}",
        evidence=tuple(f"{result.check.id}: {result.seen}; allowed: {result.allowed}" for result in found),
        remedy=first.check.remedy,
        case=first.case,
        standing=Standing.BROKEN if broken else Standing.DRIFT,
    )


def cleared_of(results: Sequence[Result]) -> dict[str, str]:
    """Stages of which no check failed, with what was passed there."""
    cleared = {}
    for stage in STAGES.values():
        own = [result for result in results if result.check.stage == stage]
        passed = [result.check for result in own if result.outcome in (Outcome.PASS, Outcome.ADVICE)]
        if passed and not any(result.outcome in (Outcome.FAIL, Outcome.ERROR) for result in own):
            cleared[stage] = _statements(passed)
    return cleared


def _statements(checks: Sequence[Check]) -> str:
    return f"{len(checks)} passed, such as {checks[0].id}: {checks[0].statement}"
