"""The lock of a folder: whenever a signal arrives, nothing is left behind, and the folder can be locked again."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType

import pytest

from sft_ref.errors import OutputError
from sft_ref.io.locking import lock_folder


def lock_interrupted_at(call: int, folder: Path) -> bool:
    """Locks a folder, with Ctrl-C at the n-th call of a function; whether that interrupted it."""
    left = call

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal left
        left -= event in {"call", "c_call"}
        if left == 0 and event in {"call", "c_call"}:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.setprofile(count)
        with lock_folder(folder, "wait"):
            sys.setprofile(None)
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
        signal.signal(signal.SIGINT, before)
    return False


def test_an_interrupt_at_any_moment_of_locking_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "adapter.partial"
    interrupted = 0
    for call in range(1, 10_000):
        if not lock_interrupted_at(call, folder):
            break
        interrupted += 1
        assert not folder.exists(), f"left by an interrupt at call {call}"
        with lock_folder(folder, "wait"):
            pass
    assert interrupted > 20
    assert not list(tmp_path.iterdir())


def test_a_locked_folder_cannot_be_locked_and_is_not_removed(tmp_path: Path) -> None:
    folder = tmp_path / "adapter.partial"
    with lock_folder(folder, "wait"):
        (folder / "run.json").write_text("{}")
        with pytest.raises(OutputError, match="is in use by process"), lock_folder(folder, "wait"):
            pass
        assert (folder / "lock").exists()
    assert [path.name for path in folder.iterdir()] == ["run.json"]
