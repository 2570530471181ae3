"""A submission's stages are found by its files, at any depth."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sft_ref.errors import SubmissionError
from sft_ref.harness.grading.kinds import find_kind
from sft_ref.harness.recorders.submission.layout import find_layout

STAGES = "def format_prompt(q): ...\ndef train(f): ...\ndef load(f): ...\ndef test(f): ...\n"


def write(folder: Path, *names: str, text: str = "") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize("package", ["homework", "homework3/homework", "a/b/c/hw"])
def test_the_course_s_layout_is_found_at_any_depth(package: str, tmp_path: Path) -> None:
    write(tmp_path / package, "sft.py", "base_llm.py", "data.py")
    layout = find_layout(tmp_path)
    assert layout.package == tmp_path / package
    assert layout.root == (tmp_path / package).parent
    assert layout.modules[0] == f"{Path(package).name}.sft"


def test_the_shallower_of_two_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "homework", "sft.py", "base_llm.py")
    write(tmp_path / "grader" / "old" / "homework", "sft.py", "base_llm.py")
    assert find_layout(tmp_path).package == tmp_path / "homework"


def test_two_at_the_same_depth_are_asked_back(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, "sft.py", "base_llm.py")
    with pytest.raises(SubmissionError, match="one and two; give one of them"):
        find_layout(tmp_path)


def test_a_module_with_the_four_functions_will_do(tmp_path: Path) -> None:
    write(tmp_path, "mine/tuned.py", text=STAGES)
    layout = find_layout(tmp_path)
    assert (layout.root, layout.modules) == (tmp_path / "mine", ("tuned",))


def test_a_package_that_gives_the_four_functions_will_do(tmp_path: Path) -> None:
    write(tmp_path, "mine/__init__.py", text="from .x import format_prompt, train, load, test\n")
    layout = find_layout(tmp_path)
    assert (layout.root, layout.modules) == (tmp_path, ("mine",))


def test_a_folder_without_stages_is_refused_in_a_line(tmp_path: Path) -> None:
    write(tmp_path, "notes.py", text="x = (\n")
    with pytest.raises(SubmissionError, match=r"no folder with base_llm\.py and sft\.py"):
        find_layout(tmp_path)


def test_an_adapter_without_code_is_told_from_code(tmp_path: Path) -> None:
    write(tmp_path, "run/adapter_config.json", text="{}")
    assert find_kind(str(tmp_path)) == ("adapter", tmp_path / "run")
    write(tmp_path, "homework/sft.py", "homework/base_llm.py")
    assert find_kind(str(tmp_path))[0] == "code"


def test_a_module_is_found_by_its_name_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "my_tuning_that_raises.py", text=STAGES + "raise RuntimeError\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_kind("my_tuning_that_raises") == ("code", tmp_path / "my_tuning_that_raises.py")


@pytest.mark.parametrize("name", ["no_such_module_at_all", "../x", "a b"])
def test_what_is_nowhere_is_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SubmissionError, match="no such folder, zip or module"):
        find_kind(name)


def test_a_module_is_found_without_executing_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "package_that_raises" / "inner"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        (folder / "__init__.py").write_text("raise SystemExit")
    (inner / "tuning.py").touch()
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert find_kind("package_that_raises.inner.tuning") == ("code", inner / "tuning.py")
    assert find_kind("package_that_raises.inner") == ("code", inner)
    with pytest.raises(SubmissionError, match="no such folder, zip or module"):
        find_kind("package_that_raises.other.tuning")
    assert sys.path == before  # else what is imported afterwards would come from the working folder
