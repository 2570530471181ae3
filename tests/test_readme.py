"""The README does what it says."""

import copy
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import build as corpus
import gguf_files
import pytest
from peft import PeftModel

from sft_ref import BaseLLM, split_rows
from sft_ref.cli import main as cli
from sft_ref.reference.bases.find import find_base


@pytest.fixture
def readme(pytestconfig: pytest.Config) -> str:
    return (pytestconfig.rootpath / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def pages(readme: str, pytestconfig: pytest.Config) -> str:
    """The README, and the pages that it leads to, in the order in which their commands need each other."""
    names = ("grading", "own-code", "precision")
    return readme + "".join((pytestconfig.rootpath / "docs" / f"{name}.md").read_text("utf-8") for name in names)


def blocks(readme: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", readme, flags=re.DOTALL)


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_its_sft_ref_commands_run(pages: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    submission = next(each for each in corpus.SUBMISSIONS if each.name == "no_tags")
    shutil.make_archive("submission", "zip", corpus.build(submission, tmp_path / "submissions" / "alice"))
    Path("held_out.json").write_text(json.dumps(split_rows("validation")[-64:]), encoding="utf-8")
    lines = [line.removeprefix("$ ") for block in blocks(pages, "console") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("sft-ref ") and "--ray" not in line]  # tests/cluster has Ray
    assert len(commands) >= 10
    for command in commands:
        words = shlex.split(command, comments=True)[1:]
        assert cli.main(words) == 0, command


def commands_of_table(readme: str) -> list[list[str]]:
    """The commands of the table of what can be handed in."""
    table = readme.partition("## What can be handed in\n")[2].partition("\n\nThe verdict")[0]
    return [shlex.split(cells[1].strip(" `")) for line in table.splitlines()[3:] if len(cells := line.split(" | ")) > 1]


@pytest.mark.slow
def test_its_table_of_targets_is_true(
    readme: str, toy_adapter: Path, blank_toy: BaseLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    base = find_base("toy")
    shutil.copytree(toy_adapter, "my_adapter")
    shutil.copytree(base, "my_base")
    rows = split_rows("validation")[:48]
    for name in ("held_out.jsonl", "train.jsonl"):
        Path(name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    model = PeftModel.from_pretrained(copy.deepcopy(blank_toy.model), "my_adapter").merge_and_unload()
    model.save_pretrained("my_merged_model")
    gguf_files.write(Path("my_model.gguf"), gguf_files.metadata_of(base))
    assert cli.main(["grade", "my_adapter", "--save-evidence", "evidence.safetensors"]) == 4
    elsewhere = {"submission.zip", "reference"}  # the console blocks run these
    commands = [words for words in commands_of_table(readme) if not elsewhere & {*words}]
    assert len(commands) == 9
    codes = {}
    for program, *words in commands:
        if program == "pytest":
            words += ["-q", "-p", "no:cacheprovider"]
            codes[" ".join(words)] = subprocess.run([sys.executable, "-m", "pytest", *words], check=False).returncode
        else:
            codes[" ".join(words)] = cli.main(words)
    not_shown = {"grade my_adapter", "grade evidence.safetensors"}
    assert codes == {words: 4 if words in not_shown else 0 for words in codes}


@pytest.mark.slow
def test_its_python_runs(readme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    witness, code = blocks(readme, "python")
    compile(witness, "README.md", "exec")  # tests/witness runs these lines
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102


def test_its_nox_commands_are_sessions_and_ci_runs_the_tests(readme: str, pytestconfig: pytest.Config) -> None:
    sessions = set(re.findall(r"nox -s ((?:[a-z]+ ?)+)", readme))
    source = (pytestconfig.rootpath / "noxfile.py").read_text(encoding="utf-8")
    for name in {word for names in sessions for word in names.split()} & {"demo", "tests", "gpu", "lint"}:
        assert f"def {name}(session" in source
    assert "python -m nox -s tests" in (pytestconfig.rootpath / ".ci" / "run").read_text(encoding="utf-8")


def test_it_is_read_in_minutes(readme: str) -> None:
    assert len(readme.split()) <= 900


def test_links_and_pictures_of_every_page_exist(pytestconfig: pytest.Config) -> None:
    root = pytestconfig.rootpath
    for page in (root / "README.md", root / "CONTRIBUTING.md", *(root / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            assert target.startswith("https://") or (page.parent / target).exists(), (page.name, target)
        for module in re.findall(r"`(\w+\.py)`", text):
            assert [*root.glob(module), *root.glob(f"[st]*/**/{module}")], (page.name, module)
