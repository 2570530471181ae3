"""Defines the verdict of a grading; independent of running checks and of reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from .check import Outcome, Result


class Status(StrEnum):
    """The verdict, from best to worst: sound, not shown, drift, broken."""

    SOUND = "sound"
    NOT_SHOWN = "not shown"
    """No fault was found, but not every stage was examined."""
    DRIFT = "drift"
    """A contract is broken; no answer is lost."""
    BROKEN = "broken"
    """Answers are lost, worse than they should be, misreported, or not the model's own."""


@dataclass(frozen=True)
class Suspect:
    """A stage that is at fault.

    Attributes:
        stage: name of the stage.
        cause: description of the fault, one sentence.
        evidence: the measurements, one line for each failed check.
        remedy: instruction that fixes the fault.
        example: the smallest input that shows the fault; empty if there is none.
        status: the verdict that this fault alone would lead to: drift or broken.
        check: id of the check that names the cause.
    """

    stage: str
    cause: str
    evidence: tuple[str, ...]
    remedy: str
    example: str = ""
    status: Status = Status.BROKEN
    check: str = ""


@dataclass(frozen=True)
class Coverage:
    """Whether a stage was examined.

    Attributes:
        stage: name of the stage, or of a part of a stage that only some kinds of targets have, such as `scaling`.
        examined: whether checks decided the stage, for or against.
        reason: why the stage was not examined, a clause without a full stop; empty if it was.
    """

    stage: str
    examined: bool
    reason: str = ""


@dataclass(frozen=True)
class Swap:
    """Fresh questions answered by a chain in which the reference replaces some stages.

    Attributes:
        chain: description of the chain.
        right: number of questions answered rightly.
        asked: number of questions asked.
    """

    chain: str
    right: int
    asked: int


@dataclass(frozen=True)
class Verdict:
    """The result of grading one target.

    Attributes:
        path: the target, as the user named it.
        status: sound, not shown, drift or broken.
        suspects: the stages at fault, in pipeline order.
        cause: the faults, one sentence per suspect; it also states if answers are lost and no suspect explains it.
        cleared: stage -> the measurement that clears it.
        notes: remarks on the run: anything that the harness supplied, stopped, or could not examine.
        sandboxed: whether the target's code ran in a sandbox.
        seconds: wall-clock seconds of the grading.
        results: the result of each planned check.
        answer_rate, accuracy: rates of answers and of right answers to fresh questions, counted by the harness; None if
            the target gave no answers.
        coverage: for each stage of the target's kind, whether it was examined.
        size: size of the saved adapter, in words; empty if it was not measured.
        errors: errors of the harness after the checks, each a clause; they prevent the verdict "sound".
        losses: losses reported by training, in nat, one per forward pass.
        swaps: the swap experiments; the first one is the target's unmodified chain.
    """

    path: str
    status: Status
    suspects: tuple[Suspect, ...] = ()
    cause: str = ""
    cleared: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    sandboxed: bool = False
    seconds: float = 0.0
    results: tuple[Result, ...] = ()
    answer_rate: float | None = None
    accuracy: float | None = None
    coverage: tuple[Coverage, ...] = ()
    size: str = ""
    errors: tuple[str, ...] = ()
    losses: tuple[float, ...] = ()
    swaps: tuple[Swap, ...] = ()

    @property
    def has_errors(self) -> bool:
        """Whether the harness itself failed, in a check or after the checks."""
        return bool(self.errors) or any(result.outcome is Outcome.ERROR for result in self.results)

    @property
    def examined_stages(self) -> tuple[str, ...]:
        """The stages that were examined."""
        return tuple(each.stage for each in self.coverage if each.examined)

    @property
    def coverage_text(self) -> str:
        """The examined stages, and the others with the reasons, in one line."""
        reasons: dict[str, list[str]] = {}
        for each in self.coverage:
            if not each.examined:
                reasons.setdefault(each.reason, []).append(each.stage)
        parts = [f"Examined: {', '.join(self.examined_stages)}."] if self.examined_stages else []
        missing = "; ".join(f"{', '.join(stages)} ({reason})" for reason, stages in reasons.items())
        return " ".join([*parts, *([f"Not examined: {missing}."] if missing else [])])

    @property
    def decisive_suspects(self) -> tuple[Suspect, ...]:
        """The suspects that decide the status; for a broken target, those that only drift are left out."""
        return tuple(suspect for suspect in self.suspects if suspect.status is self.status)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages at fault, each once."""
        return tuple(dict.fromkeys(suspect.stage for suspect in self.decisive_suspects))

    @property
    def remedy(self) -> str:
        """The remedies, one sentence for each stage at fault."""
        return " ".join(dict.fromkeys(suspect.remedy for suspect in self.decisive_suspects))
