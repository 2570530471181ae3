"""Signals become `KeyboardInterrupt`, once at a time."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sft_ref.cli import main as cli
from sft_ref.console import interrupts
from sft_ref.console.interrupts import orderly

ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _handlers_as_in_a_new_process() -> Iterator[None]:
    before = [signal.signal(number, signal.SIG_DFL) for number in ALL]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in zip(ALL, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ALL)
def test_a_second_signal_does_not_disturb_tidying_up(number: signal.Signals) -> None:
    tidied = False

    def work() -> None:
        nonlocal tidied
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)
            signal.raise_signal(signal.SIGTERM)
            tidied = True

    with orderly() as signals:
        with pytest.raises(KeyboardInterrupt):
            work()
        assert signals.number == number
    assert tidied
    signal.raise_signal(number)  # nor an interpreter that is shutting down


def test_code_that_swallows_an_interrupt_can_be_interrupted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "GRACE", 0.0)
    with orderly():
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)


def test_what_was_ignored_stays_ignored_and_what_was_not_sent_is_put_back() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    with orderly() as signals:
        signal.raise_signal(signal.SIGHUP)
        assert signals.number is None
        assert signal.getsignal(signal.SIGTERM) is signals
    assert [signal.getsignal(number) for number in ALL] == [
        signal.default_int_handler,
        signal.SIG_DFL,
        signal.SIG_IGN,
    ]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_exit_code_tells_the_signal(
    number: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sft_ref.cli.grade.run", lambda _: signal.raise_signal(number))
    assert cli.main(["grade", "x"]) == code
    assert capsys.readouterr().err == "\nsft-ref: interrupted\n"


def test_a_signal_while_python_shuts_down_does_not_change_the_exit_code() -> None:
    code = """
import os, signal, sys
from sft_ref.console.interrupts import orderly

class Late:
    def __del__(self):  # Python has put its handlers back by then
        os.kill(os.getpid(), signal.SIGTERM)

late = Late()
try:
    with orderly():
        signal.raise_signal(signal.SIGTERM)
except KeyboardInterrupt:
    sys.exit(143)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 143
