"""Exit states and exceptions of the fine-tune's processes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Crash:
    """An exception raised by the fine-tune.

    Attributes:
        type, message: type name and message of the exception.
        where: file and line of the fine-tune's code; empty if unknown.
        functions: names of the functions on the stack, the outermost first.
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
        """The line that raised the exception; the end of the traceback if no line of the fine-tune is known."""
        return self.where or self.trace[-300:]

    @property
    def is_of_parser(self) -> bool:
        """Whether the exception was raised inside the parser."""
        return any("parse" in name.lower() for name in self.functions)


@dataclass(frozen=True)
class Process:
    """The exit state of a process.

    Attributes:
        ended_early: how it ended before it was finished; empty if it finished.
        output: the end of its output.
        notes: remarks for the reader on how it was run.
    """

    ended_early: str
    output: str
    notes: tuple[str, ...]
