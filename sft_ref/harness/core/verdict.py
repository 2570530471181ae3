"""What a grading concludes. Knows neither how it was found nor how it is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from .check import Outcome, Result


class Standing(StrEnum):
    """What is to be said of an implementation, in one word."""

    SOUND = "sound"
    NOT_SHOWN = "not shown"
    """Nothing was found at fault, but not every stage was examined."""
    DRIFT = "drift"
    """A contract or a side path is departed from; the answers survive."""
    BROKEN = "broken"
    """Answers are lost, worse than they should be, misreported, or not the model's own."""


@dataclass(frozen=True)
class Suspect:
    """A stage that is at fault.

    Attributes:
        stage: in the words of `STAGES`.
        cause: what is wrong there, one sentence.
        evidence: what was measured, each with its numbers.
        remedy: what to do.
        example: the smallest input that shows it.
        standing: what the fault alone makes of the implementation: drift or broken.
        check: id of the check that names the cause.
    """

    stage: str
    cause: str
    evidence: tuple[str, ...]
    remedy: str
    example: str = ""
    standing: Standing = Standing.BROKEN
    check: str = ""


@dataclass(frozen=True)
class Coverage:
    """Whether a stage was examined.

    Attributes:
        stage: in the words of `STAGES`, or a part of a stage that a kind of target is examined for, as `scaling`.
        shown: whether checks decided it, for or against.
        reason: why it was not examined, a clause without a full stop; empty where it was.
    """

    stage: str
    shown: bool
    reason: str = ""


@dataclass(frozen=True)
class Verdict:
    """What came of grading one implementation.

    Attributes:
        path: what was graded, as it was asked for.
        standing: sound, not shown, drift or broken.
        suspects: the stages at fault, in the order a question takes; none where it is sound.
        cause: one sentence; of the suspects, or where no suspect explains it, what was lost and that its cause is not
            isolated.
        cleared: stage -> the measurement that clears it.
        notes: how it was run: what was supplied from outside, stopped, or could not be shown.
        sandboxed: whether it ran where it could do no harm.
        seconds: that grading took.
        results: of each planned check.
        answer_rate, accuracy: of its answers to fresh questions, counted by us; None where it gave none at all.
        coverage: for each stage of the target's kind, whether it was examined.
        size: of the adapter that was saved, in words; empty where it was not measured.
        errors: what broke in the harness after the checks, each a clause; then nothing is shown beyond what was found.
    """

    path: str
    standing: Standing
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

    @property
    def has_errors(self) -> bool:
        """Whether the harness broke somewhere, in a check or after them."""
        return bool(self.errors) or any(result.outcome is Outcome.ERROR for result in self.results)

    @property
    def shown(self) -> tuple[str, ...]:
        """The stages that were examined."""
        return tuple(each.stage for each in self.coverage if each.shown)

    @property
    def examined(self) -> str:
        """What was examined and what was not, with the reasons, in one line."""
        reasons: dict[str, list[str]] = {}
        for each in self.coverage:
            if not each.shown:
                reasons.setdefault(each.reason, []).append(each.stage)
        parts = [f"{', '.join(self.shown)}: shown."] if self.shown else []
        parts += [f"{', '.join(stages)}: not examined, because {reason}." for reason, stages in reasons.items()]
        return " ".join(parts)

    @property
    def guilty(self) -> tuple[Suspect, ...]:
        """The suspects that make it what it is: what merely drifts is no cause of lost answers."""
        return tuple(suspect for suspect in self.suspects if suspect.standing is self.standing)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages at fault, each once."""
        return tuple(dict.fromkeys(suspect.stage for suspect in self.guilty))

    @property
    def remedy(self) -> str:
        """What to do, one sentence for each stage at fault."""
        return " ".join(dict.fromkeys(suspect.remedy for suspect in self.guilty))
