"""Reliable standard streams for a command.

They are open, accept any text in any encoding, and report lost output: most libraries do not distinguish a closed pipe
from a full disk, and raise in the middle of unrelated work. Independent of all commands.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO


class StreamLostError(BaseException):
    """Standard output can no longer be written.

    Not an `Exception`: like `KeyboardInterrupt`, it ends the command, and no code mistakes it for a failure of the code
    that it runs.
    """

    def __init__(self, reason: OSError) -> None:
        super().__init__(reason.strerror or str(reason))
        self.is_closed_pipe = isinstance(reason, BrokenPipeError)


class _Descriptor(io.FileIO):
    """A file descriptor that drops all output after the first failed write.

    Args:
        number: number of the descriptor, which is never closed.
        needed: whether a failed write is an error; output to standard error may be dropped.
    """

    def __init__(self, number: int, *, needed: bool) -> None:
        super().__init__(number, "wb", closefd=False)
        self.needed = needed
        self.failure: OSError | None = None

    def write(self, data: bytes | bytearray | memoryview) -> int | None:  # type: ignore[override]  # any buffer
        """Writes the data; after a failure, drops everything.

        Raises:
            StreamLostError: a write fails for the first time, and the output is needed.
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
    """Standard output of a command; call `finish` at its end."""

    def __init__(self) -> None:
        self.descriptor: _Descriptor | None = None

    def finish(self) -> None:
        """Flushes buffered output.

        Raises:
            StreamLostError: not everything could be written, now or before.
        """
        sys.stdout.flush()
        if self.descriptor and self.descriptor.failure:
            raise StreamLostError(self.descriptor.failure)


@contextlib.contextmanager
def reliable() -> Iterator[Output]:
    """Opens all standard streams within its context, and makes them accept any text.

    A stream that was closed becomes the null device. Characters that the output's encoding lacks are escaped.
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
    """Empties standard input within its context for this process and its children, so that no code prompts the user."""
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
    """Opens closed standard streams; else the next opened file takes such a descriptor, and output is written to it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            os.dup2(opened, number)
            os.set_inheritable(number, True)  # noqa: FBT003  # child processes need it, too
            if opened > 2:  # noqa: PLR2004  # above the standard streams
                os.close(opened)


def _null(mode: str) -> TextIO:
    return open(os.devnull, mode, encoding="utf-8")  # type: ignore[return-value]  # noqa: PTH123  # lives on


def _writable(stream: TextIO | None, real: TextIO | None, *, needed: bool) -> tuple[TextIO, _Descriptor | None]:
    """Replaces a standard stream of the process; one that other code put there is only made to accept any text."""
    if stream is None:
        return _null("w"), None
    if stream is not real or not isinstance(stream, io.TextIOWrapper):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]
        return stream, None
    stream.flush()
    descriptor = _Descriptor(stream.fileno(), needed=needed)
    made = io.TextIOWrapper(
        io.BufferedWriter(descriptor),  # type: ignore[type-var]  # its `write` accepts any buffer, like that of FileIO
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
    return made, descriptor
