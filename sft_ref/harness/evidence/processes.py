"""How a process of the fine-tune ended, and what crashed in it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Crash:
    """An exception of the fine-tune.

    Attributes:
        type, message: of the exception.
        where: the file and line of the fine-tune's code; empty where it is not known.
        functions: the functions that were being called, the outermost first.
        trace: the traceback.
        description: the exception in one line, with the library versions that may explain it.
    """

    type: str
    message: str
    where: str
    functions: tuple[str, ...]
    trace: str
    description: str

    @property
    def place(self) -> str:
        """Where it happened; the end of the traceback where no line of the fine-tune is known."""
        return self.where or self.trace[-300:]

    @property
    def is_of_parser(self) -> bool:
        """Whether it comes from within the parser."""
        return any("parse" in name.lower() for name in self.functions)


@dataclass(frozen=True)
class Process:
    """How a process ended.

    Attributes:
        ended_early: how it ended before it was done; empty where it was done.
        output: the end of what it printed.
        notes: what a reader must know of how it was run.
    """

    ended_early: str
    output: str
    notes: tuple[str, ...]
