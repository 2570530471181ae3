from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from sft_ref.harness.core.verdict import Status, Suspect, Verdict
from sft_ref.harness.grading.target import grade_one
from sft_ref.harness.verdict.two_bases import compare_bases
from sft_ref.reference.bases.find import TOY
from sft_ref.reference.bases.wide_toy import LEAST_LIKELY, make_wide_toy
from sft_ref.reference.models import load_model, load_tokenizer
from sft_ref.reference.precision import POLICIES
from sft_ref.toy.corpus import documents

BROKEN = Verdict("x", Status.BROKEN, (Suspect("load", "lost", (), "load it"),), "load: lost.", seconds=2.0)
BASES = ("toy", "toy-wide")


def test_the_wide_toy_computes_what_the_toy_computes(tmp_path: Path) -> None:
    make_wide_toy(TOY, tmp_path / "wide")
    toy, wide = (load_model(folder, POLICIES["fp32"]).eval() for folder in (TOY, tmp_path / "wide"))
    assert wide.config.hidden_size > toy.config.hidden_size
    assert wide.config.vocab_size > toy.config.vocab_size
    assert wide.config.num_hidden_layers > toy.config.num_hidden_layers
    tokenizer = load_tokenizer(tmp_path / "wide")
    size = toy.config.vocab_size
    for text in itertools.islice(documents(1), 8):
        ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=128)["input_ids"]
        with torch.no_grad():
            due, found = (model(input_ids=ids).logits.log_softmax(-1) for model in (toy, wide))
        assert (found[..., :size] - due).abs().mean() < 0.05  # the weights of norms are rounded to bfloat16
        assert found[..., size:].exp().sum(-1).max() < 1e-2


def test_the_rows_that_are_added_copy_a_token_that_the_toy_never_expects() -> None:
    model, tokenizer = load_model(TOY, POLICIES["fp32"]).eval(), load_tokenizer(TOY)
    highest = torch.full((model.config.vocab_size,), -torch.inf)
    for text in itertools.islice(documents(0), 64):
        ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=256)["input_ids"]
        with torch.no_grad():
            highest = torch.maximum(highest, model(input_ids=ids).logits.log_softmax(-1).amax((0, 1)))
    assert highest[LEAST_LIKELY] < highest.min() + 0.01  # several are as unlikely, and which is least is rounding


@pytest.mark.parametrize("other", [Status.SOUND, Status.DRIFT, Status.NOT_SHOWN])
@pytest.mark.parametrize("is_first", [True, False])
def test_what_is_broken_on_one_base_only_is_broken(other: Status, *, is_first: bool) -> None:
    fine = Verdict("x", other, seconds=1.0)
    pair = (BROKEN, fine) if is_first else (fine, BROKEN)
    verdict = compare_bases(*pair, BASES)
    assert (verdict.status, verdict.suspects, verdict.seconds) == (Status.BROKEN, BROKEN.suspects, 3.0)
    statuses = (Status.BROKEN, other) if is_first else (other, Status.BROKEN)
    assert f"{statuses[0]} over toy, {statuses[1]} over toy-wide. load: lost." in verdict.cause


@pytest.mark.parametrize("graver", [Status.NOT_SHOWN, Status.DRIFT])
def test_nothing_is_sound_that_is_sound_on_one_base_only(graver: Status) -> None:
    sound, other = Verdict("x", Status.SOUND), Verdict("x", graver)
    assert compare_bases(sound, other, BASES).status is graver
    assert compare_bases(other, sound, BASES).status is graver


@pytest.mark.parametrize("status", Status)
def test_the_same_verdict_twice_stays_what_it_is(status: Status) -> None:
    first = BROKEN if status is Status.BROKEN else Verdict("x", status, notes=("a note",))
    verdict = compare_bases(first, first, BASES)
    assert (verdict.status, verdict.cause) == (first.status, first.cause)
    assert verdict.notes[-1] == f"over toy-wide as well: {status}"


def test_a_submission_is_graded_over_both_bases_and_what_differs_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def grade_submission(path: Path, called: str, *, base: str, **_: object) -> Verdict:
        asked.append(base)
        return BROKEN if base == "toy-wide" else Verdict(called, Status.SOUND)

    monkeypatch.setattr("sft_ref.harness.grading.judge.grade_submission", grade_submission)
    (tmp_path / "mine.py").write_text("def format_prompt(): ...\ndef train(): ...\ndef load(): ...\ndef test(): ...\n")
    verdict = grade_one(str(tmp_path / "mine.py"), second_base="toy-wide")
    assert asked == ["toy", "toy-wide"]
    assert verdict.status is Status.BROKEN
    assert "verdicts over two bases differ" in verdict.cause
    assert grade_one(str(tmp_path / "mine.py")).status is Status.SOUND
