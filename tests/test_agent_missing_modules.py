"""Modules that are missing: stubs of optional ones, and what is said of the others."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from sft_ref.errors import MachineError, MissingModuleError
from sft_ref.harness.isolation import hub, sandbox
from sft_ref.harness.recorders.submission.agent import missing_modules
from sft_ref.harness.recorders.submission.layout import find_layout
from sft_ref.harness.recorders.submission.workplace import Workplace
from sft_ref.reference.bases.find import TOY

STAGES = """
def format_prompt(question): return question
def train(): pass
def load(): pass
def test(): pass
"""


def crash(code: str) -> BaseException:
    try:
        exec(compile(code, "submission.py", "exec"), {"__name__": "package.module", "__package__": "package"})  # noqa: S102
    except ImportError as error:
        return error
    except RuntimeError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import nowhere_to_be_found.inner", "nowhere_to_be_found"),
        ("import helpers", None),  # a file of the submission
        ("import helpers.inner", None),
        ("import torch.nowhere", None),  # is installed, in another version perhaps
        ("from torch import nowhere", None),
        ("raise ImportError('X requires the nowhere library but it was not found in your environment.')", "nowhere"),
        (
            "try:\n import nowhere\nexcept ImportError as error:\n raise RuntimeError('install it') from error",
            "nowhere",
        ),
        ("try:\n import nowhere\nexcept ImportError:\n raise RuntimeError('of its own')", None),
    ],
)
def test_a_module_that_is_neither_installed_nor_its_own_is_named(code: str, name: str | None, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "helpers.py").touch()
    assert missing_modules.missing_module(crash(code), str(tmp_path)) == name


def test_a_relative_import_of_what_is_not_there_is_its_own_fault(tmp_path: Path) -> None:
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "__init__.py").write_text("from .helpers import anything")
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(ModuleNotFoundError) as raised:
            importlib.import_module("own_package")
    finally:
        sys.path.remove(str(tmp_path))
    assert missing_modules.missing_module(raised.value, str(tmp_path)) is None


def test_requirements_that_are_not_installed_are_listed(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("torch>=2\n# a comment\n-r other.txt\nnowhere-to-be-found==1.0 # why\n")
    assert missing_modules.missing_requirements(str(tmp_path)) == ["nowhere-to-be-found"]


def workplace(folder: Path, code: str) -> Workplace:
    """A submission whose module begins with some code."""
    root = folder / "work" / "code"
    root.mkdir(parents=True)
    (root / "finetune.py").write_text(code + STAGES)
    hub.make_hub(folder / "hub", TOY, ())
    return Workplace(folder / "work", find_layout(root), TOY, folder / "hub", sys.executable, called="mine")


def test_a_submission_that_needs_a_module_is_bad_input_with_the_command_that_helps(tmp_path: Path) -> None:
    place = workplace(tmp_path, "import torchmetrics_of_nowhere\n")
    (place.layout.root / "requirements.txt").write_text("torchmetrics-of-nowhere\n")
    with pytest.raises(MissingModuleError) as raised:
        place.run("train", "train", seconds=1.0)
    assert "nox -s grade -- mine --with torchmetrics_of_nowhere" in str(raised.value)
    assert "requirements.txt these are not installed: torchmetrics-of-nowhere" in str(raised.value)


def test_a_submission_that_does_without_a_module_goes_on(tmp_path: Path) -> None:
    place = workplace(tmp_path, "try:\n    import torchmetrics_of_nowhere\nexcept ImportError:\n    pass\n")
    assert place.run("train", "train", seconds=1.0)["train"] == {"done": True}


def test_a_submission_that_is_starved_is_not_graded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starved = sandbox.CommandResult(None, "", "machine", 300.0, sandboxed=True, starved="the machine is too busy")
    monkeypatch.setattr(sandbox, "run", lambda *args, **kwargs: starved)
    with pytest.raises(MachineError, match="mine: not graded: the machine is too busy"):
        workplace(tmp_path, "").run("train", "train", seconds=1.0)


STAND_INS = """
import sys
sys.path.insert(0, {repository!r})
from sft_ref.harness.recorders.submission.agent import missing_modules
missing_modules.OPTIONAL_MODULES = (*missing_modules.OPTIONAL_MODULES, "bars_of_nowhere")
sys.meta_path.append(missing_modules.StubFinder({root!r}, print))
sys.path.insert(0, {root!r})
import submission
"""


def test_a_loop_over_a_stand_in_goes_over_what_it_wraps_and_what_trains_has_none(tmp_path: Path) -> None:
    (tmp_path / "submission.py").write_text(
        "from bars_of_nowhere import track\nimport bars_of_nowhere\n"
        "assert list(track([1, 2, 3], description='x')) == [1, 2, 3]\n"
        "with bars_of_nowhere.Progress() as bar:\n    assert list(bar.track([1, 2])) == [1, 2]\n"
        "import lightning\nlightning.seed_everything(1)\n"
        "try:\n    lightning.LightningModule\n"
        "except ModuleNotFoundError as error:\n    assert error.name == 'lightning'\n"
        "else:\n    assert lightning.__file__\n"
    )
    code = STAND_INS.format(repository=str(Path(missing_modules.__file__).parents[3]), root=str(tmp_path))
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
