"""The exceptions with which a check ends if it does not pass."""


class Failure(Exception):  # noqa: N818  # it is a finding, not an error
    """The statement is false: what was observed, what was expected, and the smallest example.

    `survivable`: good answers to fresh questions show that the deviation loses nothing; it is drift then.
    """

    def __init__(self, observed: object, expected: object, example: object = "", *, survivable: bool = False) -> None:
        super().__init__(f"observed {observed}, expected {expected}" + (f", for {example!r}" if example != "" else ""))
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
