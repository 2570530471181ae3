"""A training that is killed, interrupted or doubled, or fills the disk: what stood there is whole, and can go on.

Real processes with the toy and few steps.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sft_ref.cli import main as cli
from sft_ref.io.exchange import exchange
from sft_ref.io.lora_config import CONFIG
from sft_ref.reference import training
from sft_ref.reference.fingerprints import fingerprint_adapter
from sft_ref.reference.guards.adapter_files import read_tensors
from sft_ref.reference.guards.output_folder import atomic_folder
from sft_ref.reference.record import read_record

STEPS = 8


class Training:
    """A training in a process of its own, forked from one in which the libraries are imported already."""

    context = multiprocessing.get_context("forkserver")

    def __init__(self, folder: Path, seed: int, *more: str, largest_file: int | None = None) -> None:
        self.errors = folder.parent / f"errors_{seed}"
        (folder.parent / "tmp").mkdir(exist_ok=True)
        words = ["train", "--base", "toy", "--policy", "fp32", "--steps", str(STEPS), "--batch-size", "2"]
        words += ["--seed", str(seed), "--output", str(folder), *more]
        given = (words, folder.parent / "tmp", self.errors, largest_file)
        self.process = self.context.Process(target=run_in_a_hurry, args=given)
        self.process.start()

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid or 0, number)

    def end(self) -> tuple[int | None, str]:
        """Its exit code and what it wrote on standard error."""
        self.process.join(60)
        assert self.process.exitcode is not None
        errors = self.errors.read_text()
        self.errors.unlink()
        return self.process.exitcode, errors


Training.context.set_forkserver_preload(
    ["sft_ref.reference.sft", "sft_ref.cli.terminal", "transformers.trainer", "peft"]
)


def run_in_a_hurry(words: list[str], scratch: Path, errors: Path, largest_file: int | None) -> None:
    """In the process: a command, with a checkpoint after every step, so that there is much to cut off."""
    for number, name in ((1, os.devnull), (2, str(errors))):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT, 0o600), number)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.environ["TMPDIR"], tempfile.tempdir = str(scratch), None
    training.CHECKPOINT_EVERY = 1
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    sys.exit(cli.main(words))


def fingerprint(folder: Path) -> str:
    """Of an adapter that is whole: its tensors can be read, and are those of its record."""
    tensors = read_tensors(folder)
    assert read_record(folder, tensors) is not None
    return fingerprint_adapter(tensors)


@pytest.fixture(scope="module")
def due(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str, float]:
    """An old adapter and its fingerprint, that of an undisturbed new one, and the seconds that it takes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert Training(folder / "old", 1).end() == (0, "")
    began = time.monotonic()
    assert Training(folder / "new", 2).end() == (0, "")
    return folder / "old", fingerprint(folder / "old"), fingerprint(folder / "new"), time.monotonic() - began


@pytest.fixture
def output(due: tuple[Path, str, str, float], tmp_path: Path) -> Path:
    """A folder that holds the old adapter."""
    return Path(shutil.copytree(due[0], tmp_path / "adapter"))


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


def goes_on(output: Path, due: tuple[Path, str, str, float]) -> None:
    """The same command ends with the adapter of an undisturbed run, and leaves nothing else."""
    assert Training(output, 2, "--overwrite").end() == (0, "")
    assert fingerprint(output) == due[2]
    assert sorted(path.name for path in output.parent.iterdir()) == ["adapter", "tmp"]


@pytest.mark.parametrize("part", range(4))
def test_killed_at_any_moment_the_old_adapter_or_the_new_one_stands_whole(
    part: int, output: Path, due: tuple[Path, str, str, float]
) -> None:
    """Each part is killed at another moment of the time in which it writes, drawn anew in every run."""
    process = Training(output, 2, "--overwrite")
    partial = Path(f"{output}.partial")
    wait_for(lambda: any(partial.glob("checkpoint-*")) or not process.process.is_alive())
    time.sleep(random.SystemRandom().uniform(part, part + 1) / 4 * due[3] / 4)
    process.send(signal.SIGKILL)
    process.end()
    assert fingerprint(output) in due[1:3]
    goes_on(output, due)


def test_a_checkpoint_or_note_that_was_cut_off_is_not_gone_on_from(
    output: Path, due: tuple[Path, str, str, float]
) -> None:
    process = Training(output, 2, "--overwrite")
    partial = Path(f"{output}.partial")
    wait_for(lambda: any(partial.glob("checkpoint-*/trainer_state.json")))
    process.send(signal.SIGKILL)
    process.end()
    later = partial / "checkpoint-99"
    later.mkdir()
    (later / "trainer_state.json").write_text('{"global_step": 9')
    goes_on(output, due)


def test_checkpoints_without_their_note_are_not_gone_on_from(output: Path, due: tuple[Path, str, str, float]) -> None:
    """As when the removal of a finished training's checkpoints is cut off."""
    process = Training(output, 3, "--overwrite")
    partial = Path(f"{output}.partial")
    wait_for(lambda: any(partial.glob("checkpoint-*/trainer_state.json")))
    process.send(signal.SIGKILL)
    process.end()
    (partial / "run.json").unlink()
    goes_on(output, due)


def test_a_second_training_into_a_folder_refuses_and_names_the_first(
    output: Path, due: tuple[Path, str, str, float]
) -> None:
    first = Training(output, 2, "--overwrite")
    partial = Path(f"{output}.partial")
    wait_for((partial / "run.json").exists)
    first.send(signal.SIGSTOP)
    try:
        second = Training(output, 3, "--overwrite")
        code, errors = second.end()
    finally:
        first.send(signal.SIGCONT)
    assert code == 2
    advice = "wait until it ends, or choose another folder"
    assert errors == f"sft-ref: error: {partial} is in use by process {first.process.pid}; {advice}\n"
    assert first.end()[0] == 0
    assert fingerprint(output) == due[2]
    assert sorted(path.name for path in output.parent.iterdir()) == ["adapter", "tmp"]


@pytest.mark.parametrize(
    ("signals", "code"),
    [([signal.SIGINT] * 2, 130), ([signal.SIGINT] * 4, 130), ([signal.SIGTERM] * 2, 143), ([signal.SIGHUP], 129)],
    ids=["Ctrl-C twice", "Ctrl-C four times", "terminated twice", "terminal closed"],
)
def test_a_signal_ends_it_at_once_without_a_traceback_and_the_same_command_goes_on(
    signals: list[signal.Signals], code: int, output: Path, due: tuple[Path, str, str, float]
) -> None:
    process = Training(output, 2, "--overwrite")
    partial = Path(f"{output}.partial")
    wait_for((partial / "checkpoint-2").exists)  # the first one is whole then
    began = time.monotonic()
    for number in signals:
        process.send(number)
        time.sleep(0.002)
    found, errors = process.end()
    assert found == code
    assert errors.startswith("\nsft-ref: stopped ")
    assert "the same command goes on from there" in errors
    assert errors.count("\n") == 2
    assert time.monotonic() - began < max(60, due[3])
    assert fingerprint(output) == due[1]
    # torch makes the folder of its compiler's cache when it is imported, and keeps it for the next time
    assert not [path for path in (output.parent / "tmp").iterdir() if not path.name.startswith("torchinductor")]
    goes_on(output, due)


def test_what_was_stopped_before_its_first_checkpoint_leaves_nothing(output: Path) -> None:
    process = Training(output, 2, "--overwrite")
    wait_for(Path(f"{output}.partial").exists)
    process.send(signal.SIGTERM)
    assert process.end() == (143, "\nsft-ref: interrupted\n")
    assert sorted(path.name for path in output.parent.iterdir()) == ["adapter", "tmp"]


@pytest.mark.parametrize("kilobytes", [60, 450])
def test_a_full_disk_is_one_line_and_loses_no_old_adapter(
    kilobytes: int, output: Path, due: tuple[Path, str, str, float]
) -> None:
    """A limit on the size of files stands for the disk: the first lets no adapter through, the second no optimizer."""
    code, errors = Training(output, 2, "--overwrite", largest_file=1000 * kilobytes).end()
    assert code == 2
    assert errors.startswith("sft-ref: error: cannot write")
    assert errors.count("\n") == 1
    assert fingerprint(output) == due[1]
    assert sorted(path.name for path in output.parent.iterdir()) == ["adapter", "tmp"]


def test_a_folder_of_other_things_is_no_folder_of_checkpoints(output: Path) -> None:
    partial = Path(f"{output}.partial")
    partial.mkdir()
    (partial / "thesis.tex").write_text("years of work")
    process = Training(output, 2, "--overwrite")
    code, errors = process.end()
    assert code == 2
    assert "holds thesis.tex, which is not part of a training" in errors
    assert [path.name for path in partial.iterdir()] == ["thesis.tex"]


def test_after_every_step_of_a_replacement_an_adapter_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this disk cannot swap two names in one step")
    folder, stands = tmp_path / "adapter", list[bool]()
    folder.mkdir()
    (folder / CONFIG).write_text("old")

    def watched(step: Callable[..., object]) -> Callable[..., object]:
        def run(*arguments: object) -> object:
            done = step(*arguments)
            stands.append((folder / CONFIG).exists())
            return done

        return run

    monkeypatch.setattr(Path, "replace", watched(Path.replace))
    monkeypatch.setattr("sft_ref.reference.guards.output_folder.exchange", watched(exchange))
    with atomic_folder(folder, tmp_path / "scratch") as scratch:
        (scratch / CONFIG).write_text("new")
    assert set(stands) == {True}
    assert (folder / CONFIG).read_text() == "new"
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize("can_exchange", [True, False])
def test_an_error_or_interrupt_while_writing_keeps_the_old_adapter(
    can_exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, replace = tmp_path / "adapter", Path.replace
    folder.mkdir()
    (folder / CONFIG).write_text("old")

    def interrupted(path: Path, to: Path) -> Path:
        if path.name == "scratch" or can_exchange:
            raise KeyboardInterrupt
        return replace(path, to)

    monkeypatch.setattr(Path, "replace", interrupted)
    exchanged = interrupted if can_exchange else lambda *_: False
    monkeypatch.setattr("sft_ref.reference.guards.output_folder.exchange", exchanged)
    with pytest.raises(KeyboardInterrupt), atomic_folder(folder, tmp_path / "scratch") as scratch:
        (scratch / CONFIG).write_text("new")
    assert (folder / CONFIG).read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_fingerprints_tell_adapters_apart(due: tuple[Path, str, str, float]) -> None:
    assert due[1] != due[2]
