"""The benchmark for other tools: its manifest, and what is written of an implementation."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import benchmark
import pytest
from build import SUBMISSIONS
from mutation import Control

from sft_ref.harness.core.stages import STAGES


def test_the_manifest_names_each_implementation_once_with_its_stage() -> None:
    entries = [benchmark.entry_of(each, "") for each in benchmark.find_implementations()]
    assert max(Counter(each.id for each in entries).values()) == 1
    for each in entries:
        assert (each.verdict == "sound") is not bool(each.stages)
        assert set(each.stages) <= {*STAGES.values()}
        assert each.about


def test_submissions_are_written_with_their_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "SUBMISSIONS", SUBMISSIONS[:2] + SUBMISSIONS[-2:])
    entries = [*benchmark.write_submissions(tmp_path)]
    assert [each.verdict for each in entries] == ["sound", "sound", "broken", "broken"]
    for each in entries:
        assert [*(tmp_path / each.path).rglob("*.py")]
    assert len(json.loads((tmp_path / "data" / "valid.json").read_text())) == 1000


def test_an_implementation_that_breaks_is_written_with_its_error(tmp_path: Path) -> None:
    class Broken:
        base = "toy"

        def train(self, *args: object) -> None:
            raise ValueError("no gradient")

    benchmark.write_trained(Control("broken", "", Broken), tmp_path / "broken")  # type: ignore[arg-type]
    assert json.loads((tmp_path / "broken" / "answers.json").read_text()) == {"error": "ValueError: no gradient"}


def test_a_folder_that_exists_and_unknown_names_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([str(tmp_path)], [str(tmp_path / "new"), "--trained", "nothing"]):
        with pytest.raises(SystemExit):
            benchmark.main(words)
    assert "no mutant or control named nothing" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
