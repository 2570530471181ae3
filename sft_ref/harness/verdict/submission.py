"""Derives the verdict on a submission from the results of its checks and the swap experiments."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

from sft_ref.harness.core.check import Outcome, Result
from sft_ref.harness.core.paired import TELLING, is_better
from sft_ref.harness.core.verdict import Status, Swap, Verdict
from sft_ref.harness.evidence import Evidence
from sft_ref.harness.evidence.experiments import Experiments, Right

from .diagnosis import cause_of, cleared_of, coverage_of, notes_of, status_of, suspects_of
from .measures import measure


def conclude(path: str, results: Sequence[Result], evidence: Evidence) -> Verdict:
    """Returns the verdict: broken if a universal failure is not survived, or if answers are lost unexplained."""
    suspects, experiments = suspects_of(results), evidence.experiments
    notes = dict.fromkeys((*evidence.notes, *notes_of(results)))
    coverage = coverage_of(results)
    broke = any(result.outcome is Outcome.ERROR for result in results)
    status, cause = status_of(suspects, coverage, broke=broke), cause_of(suspects)
    guilty = {suspect.stage for suspect in suspects if suspect.status is Status.BROKEN}
    if guilty:
        own, due = experiments.own, replaced(experiments, guilty)
        if due is not None and is_better(due, own):
            notes[
                f"with the reference in place of {', '.join(guilty)}: {sum(due)} of {len(due)} right, not {sum(own)}"
            ] = None
    elif lost := unexplained(evidence, results):
        status, cause = Status.BROKEN, f"{lost} {cause}"
    if status is not Status.BROKEN and experiments.accuracy < TELLING:
        why = _why_few(evidence, results)
        notes[f"its answers are right {experiments.accuracy:.0%} of the time: {why}"] = None
    size = evidence.artifact.size
    return Verdict(
        path=path,
        status=status,
        suspects=suspects,
        cause=cause,
        cleared={stage: measure(stage, evidence) or passed for stage, passed in cleared_of(results).items()},
        notes=tuple(notes),
        sandboxed=evidence.is_sandboxed,
        results=tuple(results),
        answer_rate=experiments.answer_rate,
        accuracy=experiments.accuracy,
        coverage=coverage,
        size=f"{size}, projected onto {evidence.artifact.named_base}" if size else "",
        losses=tuple(loss for loss in evidence.training.losses if math.isfinite(loss)),
        swaps=tuple(swaps_of(experiments)),
    )


def replaced(experiments: Experiments, stages: Collection[str]) -> Right | None:
    """Returns which fresh questions are right with the reference in place of these stages; None if not tried."""
    learning = {"tokens", "train", "artifact"}
    if not learning & set(stages):
        return experiments.trained_adapter
    return experiments.with_sound_adapter if set(stages) <= learning else experiments.reference


def swaps_of(experiments: Experiments) -> Iterator[Swap]:
    """Yields the chains that answered the fresh questions, with their numbers of right answers."""
    generation = experiments.generation
    for chain, right in (
        ("as submitted", experiments.own),
        ("its loaded adapter, the reference's generation and parser", generation and generation.reference),
        ("its adapter after training, asked by the reference with its training prompts", experiments.trained_adapter),
        (
            "its adapter after training, asked by the reference with the prompts it sends",
            experiments.trained_adapter_as_sent,
        ),
        ("a sound adapter in place of its own", experiments.with_sound_adapter),
        ("the reference, trained in the same convention", experiments.reference),
    ):
        if right:
            yield Swap(chain, sum(right), len(right))


def _why_few(evidence: Evidence, results: Sequence[Result]) -> str:
    """Explains why few right answers alone are not a fault."""
    if not is_slow(results):
        return "nothing shows whether its training or its pipeline loses them"
    if evidence.training.is_custom_lora:
        return "its training has little effect so far; losses and scripted generations were compared instead"
    return "the reference learns no more on the same batches; losses and scripted generations were compared instead"


def is_slow(results: Sequence[Result]) -> bool:
    """Returns whether training achieved as little as the reference does on the same batches."""
    return any(result.check.id == "TRN-103" and result.outcome is Outcome.ADVICE for result in results)


def unexplained(evidence: Evidence, results: Sequence[Result]) -> str:
    """Describes a loss of answers that no check explains; empty if there is none, or none can be shown."""
    if evidence.answers_survive:
        return ""
    experiments, training, slow = evidence.experiments, evidence.training, is_slow(results)
    own = experiments.own
    lost = f"Answers are lost, cause not isolated: {sum(own)} of {len(own)} right"
    if training.is_custom_lora:
        return f"{lost}." if training.has_learned and not slow else ""
    for due, asked in (
        (experiments.trained_adapter_as_sent, "the prompts that it sends"),
        (experiments.trained_adapter_as_trained, "its training prompts"),
    ):
        if due is not None and is_better(due, own):
            return (
                f"{lost}, {sum(due)} if the reference loads the adapter that its training produced, and sends {asked}."
            )
    again, reference = experiments.with_sound_adapter, experiments.reference_as_sent
    if slow and not training.has_learned and again and reference and is_better(reference, again):
        return (
            "Answers are lost, cause not isolated: given a sound adapter, it answers "
            f"{sum(again)} of {len(again)} rightly, the reference {sum(reference)}."
        )
    return ""
