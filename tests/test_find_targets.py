"""Which submissions are meant."""

import os
from pathlib import Path

import pytest

from sft_ref import SftRefError
from sft_ref.harness.grading.targets import find_targets

FOUR = "def format_prompt(q): ...\ndef train(): ...\nload = None\nasync def test(): ...\n"


def make(root: Path, *files: str) -> None:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FOUR if path.name == "four.py" else "")


def found(root: Path) -> list[str]:
    return [str(Path(target).relative_to(root)) for target in find_targets([str(root)]).targets]


@pytest.mark.parametrize(
    "files",
    [
        ["base_llm.py", "data.py", "sft.py"],
        ["homework/base_llm.py", "homework/sft.py", "data/train.json", "grader/tests.py", "bundle.py"],
        ["homework3/homework/base_llm.py", "homework3/data/train.json", "README.md"],
        ["homework/sft.py", "homework/sft_model/adapter_config.json", "sft_model/adapter_config.json"],
        ["deep/er/and/deeper/four.py"],
        ["four.py", "helpers/tools.py"],
        ["adapter_config.json", "adapter_model.safetensors"],
        ["adapter/adapter_config.json"],
        ["homework/sft.py", ".venv/lib/sft.py", "__MACOSX/homework/sft.py", "env/pyvenv.cfg", "env/lib/sft.py"],
        ["README.md", "notes/other.py"],
    ],
)
def test_a_folder_that_holds_one_submission_is_one(files: list[str], tmp_path: Path) -> None:
    make(tmp_path, *files)
    assert found(tmp_path) == ["."]


@pytest.mark.parametrize(
    ("files", "targets"),
    [
        (["alice/sft.py", "bob/homework/base_llm.py"], ["alice", "bob"]),
        (["alice/sft.py", "bob/four.py", "eve/README.md"], ["alice", "bob", "eve"]),
        (["alice/a/b/sft.py", "bob.zip", "carl/sft.py"], ["alice", "bob.zip", "carl"]),
        (["alice.zip"], ["alice.zip"]),
        (["alice.zip", "bob.zip", "carl.tar.gz", "dora.py"], ["alice.zip", "bob.zip", "carl.tar.gz", "dora.py"]),
        (["a/adapter_config.json", "b/adapter_config.json"], ["a", "b"]),
    ],
)
def test_a_folder_that_holds_several_has_one_in_each_entry(
    files: list[str], targets: list[str], tmp_path: Path
) -> None:
    make(tmp_path, *files)
    assert found(tmp_path) == targets


def test_files_that_are_no_submission_are_named(tmp_path: Path) -> None:
    make(tmp_path, "a/sft.py", "b/sft.py", "grades.csv", "submission_metadata.yml")
    skipped = find_targets([str(tmp_path)]).skipped
    assert [Path(path).name for path in skipped] == ["grades.csv", "submission_metadata.yml"]


@pytest.mark.parametrize(
    "files",
    [
        ["homework/sft.py", "homework.zip"],
        ["alice/sft.py", "bob/main.py"],
        ["alice/sft.py", "bob/adapter_config.json"],
        ["a/adapter_config.json", "b.zip"],
    ],
)
def test_what_may_be_one_or_several_is_asked_back_in_one_line(files: list[str], tmp_path: Path) -> None:
    make(tmp_path, *files)
    with pytest.raises(SftRefError, match="one submission or several") as error:
        find_targets([str(tmp_path)])
    assert "\n" not in str(error.value)


def test_a_path_that_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    for given in (str(tmp_path / "none"), "none.zip"):
        with pytest.raises(SftRefError, match="there is no such"):
            find_targets([given])
    with pytest.raises(SftRefError, match="is empty"):
        find_targets([str(tmp_path)])


def test_modules_stay_as_they_are_and_each_target_comes_once(tmp_path: Path) -> None:
    make(tmp_path, "a/sft.py")
    given = ["reference", "package.module:thing", str(tmp_path / "a"), f"{tmp_path}/./a/"]
    assert find_targets(given).targets == ("reference", "package.module:thing", str(tmp_path / "a"))


def test_hostile_folders_are_survived(tmp_path: Path) -> None:
    make(tmp_path, "homework/sft.py")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "homework" / "pipe.py")
    (tmp_path / "homework" / "large.py").write_bytes(b"def train\n" * 200_000)
    (tmp_path / "homework" / "odd.py").write_bytes(b"\xff\xfe\x00" * 10)
    assert found(tmp_path) == ["."]
