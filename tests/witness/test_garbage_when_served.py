"""The page docs/garbage-when-served.md is a run: its code runs, and its outputs are shown."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import witnessed

from sft_ref.cli.main import main
from sft_ref.harness.grading import worker


def test_the_page_runs_and_shows_what_it_says(
    pytestconfig: pytest.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (pytestconfig.rootpath / "docs" / "garbage-when-served.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(worker, "run_alone", lambda function, *arguments: function(*arguments))
    names: dict[str, object] = {}
    shown = ""
    checked = 0
    for language, block in re.findall(r"```(python|console|text)\n(.*?)```", page, flags=re.DOTALL):
        if language == "text":
            for line in block.splitlines():
                assert line in shown, (line, shown)
                checked += 1
            shown = ""
            continue
        with witnessed.no_warnings():
            if language == "python":
                exec(compile(block, "garbage-when-served.md", "exec"), names)  # noqa: S102
            else:
                for line in block.splitlines():
                    words = line.removeprefix("$ ")
                    if words.startswith("sft-ref "):
                        assert main(words.split()[1:]) == 1
                    else:
                        subprocess.run(words, shell=True, check=True)  # noqa: S602
        shown += capsys.readouterr().out
    assert checked == 10
