"""The hook of pre-commit and the action of GitHub: both name files and options that exist."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest
import yaml

from sft_ref.cli.grade.options import add_arguments
from sft_ref.cli.pre_commit import grade_adapters


@pytest.mark.slow
def test_a_whole_adapter_passes_and_a_truncated_one_does_not(
    adapter: Path, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    [hook] = yaml.safe_load((pytestconfig.rootpath / ".pre-commit-hooks.yaml").read_text())
    files = [str(each) for each in sorted(adapter.iterdir()) if re.search(hook["files"], str(each))]
    assert [Path(each).name for each in files] == ["adapter_config.json", "adapter_model.safetensors"]
    assert grade_adapters(files) == 0
    assert capsys.readouterr().out.count("SOUND") <= 1  # each folder once
    tensors = adapter / "adapter_model.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-100])
    assert grade_adapters(files) == 1
    assert "ART-204" in capsys.readouterr().out


def test_without_files_there_is_nothing_to_do() -> None:
    assert grade_adapters([]) == 0


def test_the_hook_runs_a_module_and_the_action_gives_options_that_exist(pytestconfig: pytest.Config) -> None:
    [hook] = yaml.safe_load((pytestconfig.rootpath / ".pre-commit-hooks.yaml").read_text())
    assert hook["entry"] == f"python -m {grade_adapters.__module__}"
    action = yaml.safe_load((pytestconfig.rootpath / "action.yml").read_text())
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    words = ["my_adapter", *action["inputs"]["arguments"]["default"].split(), "--html", "page.html"]
    assert parser.parse_args(words).require == ["artifact"]
    [line] = [step["run"] for step in action["runs"]["steps"] if "sft-ref" in step["run"]]
    assert line == 'sft-ref grade "$TARGET" $ARGUMENTS --html "$HTML"'
