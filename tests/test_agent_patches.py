"""The table of what the agent patches, and the ways in which a target is replaced."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sft_ref.harness.recorders.submission.agent import patches
from sft_ref.harness.recorders.submission.agent.patches import Patch, apply, around, called_with, extended_by, instead

REPOSITORY = Path(__file__).parents[1]


class Target:
    """What is patched."""

    @classmethod
    def make(cls, model: str) -> str:
        return f"{cls.__name__} {model}"

    def run(self, model: str, *, twice: bool = False) -> str:
        return model * (2 if twice else 1)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    class Copy(Target):
        make = Target.__dict__["make"]
        run = Target.run

    module = SimpleNamespace(Copy=Copy, hooks=[1], register=[].append, twice=2, thrice=3)
    monkeypatch.setitem(sys.modules, "library_of_nowhere", module)
    return module


def test_a_function_around_the_original_gets_it_and_every_argument_whatever_its_name(library: Any) -> None:  # noqa: ANN401
    def shout(original: Any, target: Any, /, *args: Any, **kwargs: Any) -> str:  # noqa: ANN401
        return str(original(target, *args, **kwargs)).upper()

    apply(
        [
            Patch("library_of_nowhere.Copy.run", around(shout), "a method"),
            Patch("library_of_nowhere.Copy.make", around(shout), "a class method"),
        ]
    )
    assert library.Copy().run(model="a", twice=True) == "AA"
    assert library.Copy.make(model="a") == "COPY A"
    assert library.Copy.run.__name__ == "run"


def test_targets_are_replaced_extended_or_called(library: Any) -> None:  # noqa: ANN401
    called: list[int] = []
    library.register = called.append
    apply(
        [
            Patch("library_of_nowhere.twice thrice", instead(0), "two of one owner"),
            Patch("library_of_nowhere.hooks", extended_by(2), "a list"),
            Patch("library_of_nowhere.register", called_with(3), "a hook"),
        ]
    )
    assert (library.twice, library.thrice, library.hooks, called) == (0, 0, [1, 2], [3])


def test_a_target_that_is_missing_is_an_error_unless_it_is_optional(library: Any) -> None:  # noqa: ANN401
    for target in ("library_of_nowhere.absent", "library_of_nowhere.Absent.run", "library_of_elsewhere.run"):
        apply([Patch(target, instead(0), "", optional=True)])
        with pytest.raises((AttributeError, ImportError)):
            apply([Patch(target, instead(0), "")])


def test_a_replacement_for_a_while_is_taken_back_after_an_exception(library: Any) -> None:  # noqa: ANN401
    def crash_within() -> None:
        with patches.replaced(library, "twice", instead(0)):
            raise ValueError(library.twice)

    with pytest.raises(ValueError, match="0"):
        crash_within()
    assert library.twice == 2


TABLE = """
import sys
sys.path.insert(0, {repository!r})
import inspect, pkgutil
from sft_ref.harness.recorders.submission.agent import patches
from sft_ref.harness.recorders.submission.agent.compatibility import Loading
from sft_ref.harness.recorders.submission.agent.forwards import Forwards
from sft_ref.harness.recorders.submission.agent.results import ResultWriter
from sft_ref.harness.recorders.submission.agent.time_limit import TimeLimit
from sft_ref.harness.recorders.submission.agent.training_recorder.recorder import TrainingRecorder
writer = ResultWriter({root!r}, {root!r}, "nonce")
limit, loading = TimeLimit(1.0, writer.note), Loading(writer.note)
table = [
    *patches.shared_patches({root!r}, "LlamaForCausalLM", writer.note, loading, Forwards()),
    *patches.training_patches(TrainingRecorder({{}}, 768, 1.0, limit, writer), limit),
    *patches.loading_patches(loading),
]
for patch in table:
    path, _, names = patch.target.rpartition(".")
    owner = pkgutil.resolve_name(path)
    before = [inspect.getattr_static(owner, name) for name in names.split() if hasattr(owner, name)]
    assert patch.reason and before, patch
    patches.apply([patch])
    after = [inspect.getattr_static(owner, name) for name in names.split() if hasattr(owner, name)]
    unchanged = sum(one is other for one, other in zip(before, after))
    is_called = "register" in path + names or names in ("modules", "_device_constructors", "set_stance")
    assert unchanged == (len(before) if is_called else 0), patch
assert len(table) > 20
"""


def test_every_target_of_the_table_is_there_and_is_replaced(tmp_path: Path) -> None:
    """In a process of its own, since the libraries stay patched."""
    code = TABLE.format(repository=str(REPOSITORY), root=str(tmp_path))
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
