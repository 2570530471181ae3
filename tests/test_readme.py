"""The README does what it says."""

import json
import re
import shlex
import shutil
from pathlib import Path

import build as corpus
import pytest

from sft_ref import split_rows
from sft_ref.cli import main as cli


@pytest.fixture
def readme(pytestconfig: pytest.Config) -> str:
    return (pytestconfig.rootpath / "README.md").read_text(encoding="utf-8")


def blocks(readme: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", readme, flags=re.DOTALL)


@pytest.mark.timeout(600)
def test_its_sft_ref_commands_run(readme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    submission = next(each for each in corpus.SUBMISSIONS if each.name == "no_tags")
    shutil.make_archive("submission", "zip", corpus.build(submission, tmp_path / "submissions" / "alice"))
    Path("held_out.json").write_text(json.dumps(split_rows("validation")[-64:]), encoding="utf-8")
    lines = [line.removeprefix("$ ") for block in blocks(readme, "console") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("sft-ref ")]
    assert len(commands) >= 3
    for command in commands:
        words = shlex.split(command)[1:]
        assert cli.main(words) == 0, command


def test_its_python_runs(readme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, _for_pytest = blocks(readme, "python")  # tests/test_wheel.py runs the other
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102


def test_its_nox_commands_are_sessions_and_ci_runs_the_tests(readme: str, pytestconfig: pytest.Config) -> None:
    sessions = set(re.findall(r"nox -s ((?:[a-z]+ ?)+)", readme))
    source = (pytestconfig.rootpath / "noxfile.py").read_text(encoding="utf-8")
    for name in {word for names in sessions for word in names.split()} & {"demo", "tests", "gpu", "lint"}:
        assert f"def {name}(session" in source
    assert "python -m nox -s tests" in (pytestconfig.rootpath / ".ci" / "run").read_text(encoding="utf-8")


def test_its_links_and_pictures_exist(readme: str, pytestconfig: pytest.Config) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", readme):
        assert target.startswith("https://") or (pytestconfig.rootpath / target).exists(), target
    for module in re.findall(r"`(\w+\.py)`", readme):
        assert list((pytestconfig.rootpath / "sft_ref").rglob(module)), module
