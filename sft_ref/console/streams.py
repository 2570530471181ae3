"""Standard streams that a command can rely on.

They are open, take any text in any encoding, and say when what was written is lost: a closed pipe and a full disk look
alike to most libraries, which then raise in the middle of somebody else's work. Knows nothing of any command.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO


class StreamLostError(BaseException):
    """Standard output takes no more.

    Not an `Exception`: like `KeyboardInterrupt` it ends the command, and no code takes it for a fault of what it runs.
    """

    def __init__(self, reason: OSError) -> None:
        super().__init__(reason.strerror or str(reason))
        self.is_closed_pipe = isinstance(reason, BrokenPipeError)


class _Descriptor(io.FileIO):
    """A descriptor that is written to until that fails.

    Args:
        number: of the descriptor; it is not closed.
        needed: whether what it does not take is lost; what is said besides (on standard error) may be dropped.
    """

    def __init__(self, number: int, *, needed: bool) -> None:
        super().__init__(number, "wb", closefd=False)
        self.needed = needed
        self.failure: OSError | None = None

    def write(self, data: bytes | bytearray | memoryview) -> int | None:  # type: ignore[override]  # any buffer
        """Writes; after a failure it drops everything.

        Raises:
            StreamLostError: for the first time, where what it takes is needed.
        """
        if self.failure is None:
            try:
                return super().write(data)
            except OSError as failure:
                self.failure = failure
                if self.needed:
                    raise StreamLostError(failure) from failure
        return memoryview(data).nbytes


class Output:
    """Standard output of a command; `finish` at its end."""

    def __init__(self) -> None:
        self.descriptor: _Descriptor | None = None

    def finish(self) -> None:
        """Writes what is still in memory.

        Raises:
            StreamLostError: not everything could be written, now or before.
        """
        sys.stdout.flush()
        if self.descriptor and self.descriptor.failure:
            raise StreamLostError(self.descriptor.failure)


@contextlib.contextmanager
def reliable() -> Iterator[Output]:
    """Within it, the standard streams are open, and no text is an error of encoding.

    A stream that was closed is the null device. What the output's encoding lacks is written as an escape.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    _open_closed_descriptors()
    output = Output()
    sys.stdin = sys.stdin or _null("r")
    sys.stdout, output.descriptor = _writable(sys.stdout, sys.__stdout__, needed=True)
    sys.stderr, _ = _writable(sys.stderr, sys.__stderr__, needed=False)
    try:
        yield output
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdin, sys.stdout, sys.stderr = before


@contextlib.contextmanager
def no_input() -> Iterator[None]:
    """Within it, standard input is empty, for this process and all that it starts: nobody can ask the user anything."""
    kept, before = os.dup(0), sys.stdin
    with open(os.devnull, encoding="utf-8") as empty:  # noqa: PTH123  # a device
        os.dup2(empty.fileno(), 0)
        sys.stdin = empty
        try:
            yield
        finally:
            sys.stdin = before
            os.dup2(kept, 0)
            os.close(kept)


def _open_closed_descriptors() -> None:
    """Else the next file that is opened gets the number of a standard stream, and what is printed is written to it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            os.dup2(opened, number)
            os.set_inheritable(number, True)  # noqa: FBT003  # a process that is started needs one there, too
            if opened > 2:  # noqa: PLR2004  # above the standard streams
                os.close(opened)


def _null(mode: str) -> TextIO:
    return open(os.devnull, mode, encoding="utf-8")  # type: ignore[return-value]  # noqa: PTH123  # lives on


def _writable(stream: TextIO | None, real: TextIO | None, *, needed: bool) -> tuple[TextIO, _Descriptor | None]:
    """A stream in place of one of the process's own; one that somebody else put there takes any text, if it can."""
    if stream is None:
        return _null("w"), None
    if stream is not real or not isinstance(stream, io.TextIOWrapper):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]
        return stream, None
    stream.flush()
    descriptor = _Descriptor(stream.fileno(), needed=needed)
    made = io.TextIOWrapper(
        io.BufferedWriter(descriptor),  # type: ignore[type-var]  # its `write` takes any buffer, as a FileIO's does
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
    return made, descriptor
