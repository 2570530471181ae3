"""What users get: the wheel, installed where the source tree is not, judges an implementation of theirs.

The environment is empty but for the wheel. The libraries that it stands on are borrowed from the environment that runs
these tests, by a path file; so this says what is in the wheel, and nothing of how dependencies are resolved.
"""

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from junitparser import Error, Failure, JUnitXml

MINE = """
from dataclasses import replace
from plain_loop import PlainLoop as MyTraining

class Mistaken(MyTraining):
    def training_batch(self, rows):
        batch = super().training_batch(rows)
        return replace(batch, labels=batch.labels.where(batch.labels < 0, batch.labels + 1))

    def train(self, *_):
        raise AssertionError("no check asked for needs a training")
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """A folder with the wheel in `env` and a user's code beside it, far from the source tree."""
    folder = tmp_path_factory.mktemp("user")
    source = pytestconfig.rootpath
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder), cwd=source)
    venv.create(folder / "env", with_pip=False)
    python = str(folder / "env" / "bin" / "python")
    [wheel] = folder.glob("*.whl")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", str(wheel), cwd=folder)
    [site] = (folder / "env").glob("lib/python*/site-packages")
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    (site / "borrowed.pth").write_text("\n".join(borrowed), encoding="utf-8")
    shutil.copy(source / "tests" / "helpers" / "plain_loop.py", folder)
    (folder / "my_training.py").write_text(MINE, encoding="utf-8")
    page = (source / "docs" / "own-code.md").read_text("utf-8")
    [test] = re.findall(r"```python\n(import pytest\n.*?)```", page, re.DOTALL)
    (folder / "test_mine.py").write_text(test, encoding="utf-8")
    (folder / "test_mistaken.py").write_text(test.replace("MyTraining", "Mistaken"), encoding="utf-8")
    return folder


def run(*command: str, cwd: Path, code: int = 0) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_it_is_the_wheel_that_is_installed_and_not_the_source_tree(elsewhere: Path) -> None:
    where = run("env/bin/python", "-c", "import sft_ref; print(sft_ref.__file__)", cwd=elsewhere)
    assert Path(where.strip()).is_relative_to(elsewhere / "env")


@pytest.mark.slow
def test_the_line_of_the_readme_makes_a_test_of_each_check(elsewhere: Path) -> None:
    chosen = "TOK-002 or PRM-003 or LOD-002"
    run("env/bin/python", "-m", "pytest", "test_mine.py", "-k", chosen, "--junitxml", "mine.xml", cwd=elsewhere)
    [suite] = JUnitXml.fromfile(str(elsewhere / "mine.xml"))
    assert {case.name: case.result for case in suite} == {
        f"test_contract[{name}]": [] for name in ("PRM-003", "TOK-002", "LOD-002")
    }


@pytest.mark.slow
def test_a_fault_of_the_users_is_a_failed_test_with_a_remedy(elsewhere: Path) -> None:
    command = ("env/bin/python", "-m", "pytest", "test_mistaken.py", "-k", "TOK-002", "--junitxml", "mistaken.xml")
    run(*command, cwd=elsewhere, code=1)
    [[case]] = JUnitXml.fromfile(str(elsewhere / "mistaken.xml"))
    assert [type(each) for each in case.result] == [Failure]
    for words in ("TOK-002: Every label is the input token", "observed", "expected", "why", "remedy"):
        assert words in case.result[0].text


@pytest.mark.slow
def test_the_command_grades_what_lies_in_the_working_directory(elsewhere: Path) -> None:
    grade = ("env/bin/sft-ref", "grade", "my_training:Mistaken", "--only", "TOK-002", "TOK-003")
    out = run(*grade, "--junit", "grade.xml", cwd=elsewhere, code=1)
    assert "1 of 2 passed" in out
    [suite] = JUnitXml.fromfile(str(elsewhere / "grade.xml"))
    assert (suite.tests, suite.failures) == (2, 1)
    assert not [case for case in suite if any(isinstance(each, Error) for each in case.result)]
