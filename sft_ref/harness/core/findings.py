"""The exceptions with which a check ends if it does not pass, and what carries one in evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from .stages import STAGES


class Failure(Exception):  # noqa: N818  # it is a finding, not an error
    """The statement is false: what was observed, what was expected, and the smallest example.

    `survivable`: good answers to fresh questions show that the deviation loses nothing; it is drift then.
    `stage`: of an exception of the target, the stage that raised it, where the check that meets it need not be that
    stage's.
    """

    stage = ""

    def __init__(self, observed: object, expected: object, example: object = "", *, survivable: bool = False) -> None:
        super().__init__(
            f"observed: {observed}; expected: {expected}" + (f", for {example!r}" if example != "" else "")
        )
        self.observed, self.expected, self.example = str(observed), str(expected), str(example)
        self.survivable = survivable


class Unavailable(Exception):  # noqa: N818
    """The machine or the target lacks what the check needs; this is no fault of the target."""


class NotGiven(Unavailable):
    """An optional part of the implementation is missing; the message says what to give.

    Nothing speaks against it, so that checks which depend on this one run all the same.
    """


class Blocked(Exception):  # noqa: N818
    """The check needs the result of a stage that fails; the checks of that stage report it."""


@dataclass(frozen=True)
class NotRecorded:
    """Stands in evidence for a part that could not be recorded.

    Attributes:
        error: what recording it ended with, and so what checks that need it end with.
        stage: the stage whose failure it is, if it is one's; checks of earlier stages are blocked.
    """

    error: BaseException
    stage: str = ""

    def raise_in(self, stage: str) -> NoReturn:
        """Ends a check of this stage.

        Raises:
            Blocked: a later stage fails, whose checks report it.
            BaseException: `error`, in any other case.
        """
        order = list(STAGES.values())
        if isinstance(self.error, Failure) and self.stage and order.index(stage) < order.index(self.stage):
            why = f"it needs what {self.stage} makes, which fails: {self.error.observed}"
            raise Blocked(why) from self.error
        raise self.error
