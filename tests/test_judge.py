"""Submissions are graded: what is sound passes, what is broken is named, and what attacks earns nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import build as corpus
import pytest
from safetensors.torch import load_file, save_file

from sft_ref.errors import BaseModelError, MachineError, SubmissionError
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.grading.judge import draw, grade_submission
from sft_ref.harness.grading.saved import FROM_FILE, grade_evidence
from sft_ref.reference.bases.find import TOY

SAMPLE = ("parser_wants_the_consumed_tag", "looked_up_in_answer", "lora_by_hand_not_filled")
"""The one of the story, a cheat, and an adapter that is not peft's.

`board.py` grades them all; the README's test grades one that is sound."""


def _grade(name: str, folder: Path) -> Verdict:
    submission = next(each for each in corpus.SUBMISSIONS if each.name == name)
    evidence = folder / "evidence.safetensors"
    verdict = grade_submission(corpus.build(submission, folder / name), name, seed=11, save_evidence=evidence)
    saved = grade_evidence(evidence, name)
    assert (saved.status, saved.cause, saved.notes) == (verdict.status, verdict.cause, (FROM_FILE, *verdict.notes))
    return verdict


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SAMPLE)
@pytest.mark.slow
def test_the_verdict_is_right_and_every_stage_named_is_at_fault(name: str, tmp_path: Path) -> None:
    submission = next(each for each in corpus.SUBMISSIONS if each.name == name)
    verdict = _grade(name, tmp_path)
    assert verdict.status == submission.verdict, verdict.cause
    assert set(verdict.stages) <= submission.stages | submission.also, verdict.cause
    assert bool(verdict.stages) == bool(submission.stages), verdict.cause
    assert not [result.observed for result in verdict.results if result.outcome == "error"]


def test_questions_are_drawn_anew_and_lie_in_no_file_of_the_submission() -> None:
    rows, unseen, fresh = draw(3)
    known = {question for question, _ in (*rows, *unseen)}
    assert not known & {question for question, _ in fresh}
    assert draw(4)[2] != fresh
    assert draw(3)[2] == fresh


def test_a_module_without_end_is_refused_before_it_fills_the_disk(tmp_path: Path) -> None:
    with (tmp_path / "module.py").open("wb") as file:
        file.truncate(2**43)
    with pytest.raises(SubmissionError, match="is larger than"):
        grade_submission(tmp_path / "module.py", "module.py")


def test_a_folder_whose_name_ends_as_a_module_does_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(SubmissionError, match=r"no folder with base_llm\.py"):
        grade_submission(tmp_path / "folder.py", "folder.py")


@pytest.mark.parametrize("key", ["architectures", "vocab_size"])
def test_a_base_that_cannot_be_used_is_bad_input_and_no_fault_of_the_harness(key: str, tmp_path: Path) -> None:
    shutil.copytree(TOY, tmp_path / "base")
    config = json.loads((TOY / "config.json").read_text(encoding="utf-8"))
    del config[key]
    (tmp_path / "base" / "config.json").write_text(json.dumps(config))
    with pytest.raises(BaseModelError, match=f"missing required field `{key}`"):
        grade_submission(tmp_path, "it", base=str(tmp_path / "base"))


def test_a_base_that_lacks_weights_is_refused_before_a_submission_is_run_over_it(tmp_path: Path) -> None:
    shutil.copytree(TOY, tmp_path / "base")
    tensors = load_file(TOY / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, tmp_path / "base" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BaseModelError, match="lacks model"):
        grade_submission(tmp_path, "it", base=str(tmp_path / "base"))


def test_a_base_in_several_files_is_refused_before_a_submission_is_run_over_it(tmp_path: Path) -> None:
    shutil.copytree(TOY, tmp_path / "base")
    name = "model-00001-of-00001.safetensors"
    (tmp_path / "base" / "model.safetensors").rename(tmp_path / "base" / name)
    index = {"weight_map": dict.fromkeys(load_file(tmp_path / "base" / name), name)}
    (tmp_path / "base" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(BaseModelError, match=r"holds no model\.safetensors"):
        grade_submission(tmp_path, "it", base=str(tmp_path / "base"))


def test_a_full_disk_is_not_held_against_a_submission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("base_llm.py", "sft.py"):
        (tmp_path / name).touch()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    with pytest.raises(MachineError, match="has 1 MB free, and 64 MB are needed"):
        grade_submission(tmp_path, "it")
