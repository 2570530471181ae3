"""Exceptions that end a check that does not pass, and the placeholder that carries one in the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from .stages import STAGES


class Failure(Exception):  # noqa: N818  # it is a finding, not an error
    """The statement of a check is false; holds the observation, the expectation and the smallest example.

    `survivable`: whether good answers to fresh questions show that the deviation loses no answer; it is then drift.
    `stage`: the stage in which the target raised an exception, if the check that catches it may be of another stage.
    """

    stage = ""

    def __init__(self, observed: object, expected: object, example: object = "", *, survivable: bool = False) -> None:
        super().__init__(
            f"observed: {observed}; expected: {expected}" + (f", for {example!r}" if example != "" else "")
        )
        self.observed, self.expected, self.example = str(observed), str(expected), str(example)
        self.survivable = survivable


class Unavailable(Exception):  # noqa: N818
    """The machine or the target lacks something that the check needs; this is not a fault of the target."""


class NotGiven(Unavailable):
    """An optional part of the implementation is missing; the message says what to supply.

    A missing part is no evidence of a fault, so checks that depend on this one still run.
    """


class Blocked(Exception):  # noqa: N818
    """The check needs the result of a failed stage; the checks of that stage report the failure."""


@dataclass(frozen=True)
class NotRecorded:
    """Placeholder in the evidence for a part that could not be recorded.

    Attributes:
        error: the exception that ended the recording; checks that need the part raise it too.
        stage: the stage that failed, if any; checks of earlier stages are blocked.
    """

    error: BaseException
    stage: str = ""

    def raise_in(self, stage: str) -> NoReturn:
        """Ends a check of the given stage by raising an exception.

        Raises:
            Blocked: the failure belongs to a later stage, whose checks report it.
            BaseException: `error`, in any other case.
        """
        order = list(STAGES.values())
        if isinstance(self.error, Failure) and self.stage and order.index(stage) < order.index(self.stage):
            why = f"it needs the result of the stage {self.stage}, which fails: {self.error.observed}"
            raise Blocked(why) from self.error
        raise self.error
