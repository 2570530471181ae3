"""What a check raises where its statement is false, or cannot be asked."""


class Failure(Exception):  # noqa: N818  # it is a finding, not an error
    """The statement is false of the implementation: what was seen, what was allowed, and the smallest case.

    `survived`: the answers were measured and are as good as without the deviation, so that it is drift.
    """

    def __init__(self, seen: object, allowed: object, case: object = "", *, survived: bool = False) -> None:
        super().__init__(f"saw {seen}, allowed {allowed}" + (f", for {case!r}" if case != "" else ""))
        self.seen, self.allowed, self.case = str(seen), str(allowed), str(case)
        self.survived = survived


class Unavailable(Exception):  # noqa: N818
    """The machine or the implementation lacks what the check needs, through no fault of the implementation."""


class Blocked(Exception):  # noqa: N818
    """The check needs what a later stage makes, and that stage fails; its own checks say how."""
