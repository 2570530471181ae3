"""Bases and adapters, each made once and copied for every test that changes one."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "helpers"))
import families

from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.verdict import Status, Verdict
from sft_ref.harness.grading.folder import grade_adapter
from sft_ref.harness.grading.saved import FROM_FILE, grade_evidence


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of a family's base."""
    made: dict[str, Path] = {}

    def base_of(family: str) -> Path:
        if family not in made:
            made[family] = families.build_base(family, tmp_path_factory.mktemp(family) / "base")
        return made[family]

    return base_of


@pytest.fixture(scope="session")
def llama(bases: Callable[[str], Path]) -> Path:
    """The base that tests of patterns share."""
    return bases("llama")


@pytest.fixture(scope="session")
def _trained(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return families.train(llama, tmp_path_factory.mktemp("trained") / "adapter", target_modules="all-linear")


@pytest.fixture
def adapter(_trained: Path, tmp_path: Path) -> Path:
    """A copy of a plain adapter over `llama`, on all seven kinds of Linear."""
    return Path(shutil.copytree(_trained, tmp_path / "adapter"))


def comparable(verdict: Verdict) -> Verdict:
    """A verdict without the seconds that it took, the commands that repeat it, and the note that it is from a file."""
    results = tuple(replace(each, seconds=0.0, rerun="") for each in verdict.results)
    notes = tuple(note for note in verdict.notes if note != FROM_FILE)
    return replace(verdict, seconds=0.0, results=results, notes=notes)


def regraded(folder: Path, base: Path) -> Verdict:
    """The verdict on a folder, which is the same from the evidence that was saved."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "evidence.safetensors"
        verdict = grade_adapter(folder, folder.name, base=str(base), prompt=None, save_evidence=file)
        again = grade_evidence(file, folder.name)
    assert comparable(again) == comparable(verdict)
    return verdict


@pytest.fixture
def assert_sound() -> Callable[[Path, Path], Verdict]:
    """Grades a folder over a base, and asserts that artifact and load are shown and nothing is at fault."""

    def grade(folder: Path, base: Path) -> Verdict:
        verdict = regraded(folder, base)
        assert not verdict.suspects, verdict.cause
        assert verdict.status is Status.NOT_SHOWN  # never sound without data
        assert verdict.examined_stages == ("artifact", "load"), verdict.coverage_text
        assert not [each for each in verdict.results if each.outcome in (Outcome.ERROR, Outcome.BLOCKED)]
        return verdict

    return grade


@pytest.fixture
def assert_broken() -> Callable[..., Verdict]:
    """Grades a folder over a base, and asserts that one check alone is the cause, and that it says so."""

    def grade(folder: Path, base: Path, check: str, *words: str) -> Verdict:
        verdict = regraded(folder, base)
        failed = [each for each in verdict.results if each.outcome is Outcome.FAIL]
        assert [each.check.id for each in failed] == [check], verdict.cause
        assert verdict.status is Status.BROKEN
        assert not [each for each in verdict.results if each.outcome is Outcome.ERROR]
        for each in words:
            assert each in failed[0].observed
        return verdict

    return grade
