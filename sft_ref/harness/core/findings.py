"""What a check raises where its statement is false, or cannot be asked."""


class Failure(Exception):  # noqa: N818  # it is a finding, not an error
    """The statement is false of the implementation: what was observed, what was expected, and the smallest example.

    `survivable`: good answers to fresh questions show that the deviation loses nothing; it is drift then.
    """

    def __init__(self, observed: object, expected: object, example: object = "", *, survivable: bool = False) -> None:
        super().__init__(f"observed {observed}, expected {expected}" + (f", for {example!r}" if example != "" else ""))
        self.observed, self.expected, self.example = str(observed), str(expected), str(example)
        self.survivable = survivable


class Unavailable(Exception):  # noqa: N818
    """The machine or the implementation lacks what the check needs, through no fault of the implementation."""


class Blocked(Exception):  # noqa: N818
    """The check needs what a later stage makes, and that stage fails; its own checks say how."""
