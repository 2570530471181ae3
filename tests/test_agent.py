"""The agent's own instruments, without a submission around them."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from sft_ref.harness.recorders.submission.agent import asking, logits, time_limit
from sft_ref.reference.models import TOY, load_tokenizer

AGENT = Path(asking.__file__).parent


def output(*tokens: int, vocabulary: int = 768) -> SimpleNamespace:
    """Logits of one position, under which each row's next token is given."""
    logits = torch.zeros(len(tokens), 1, vocabulary)
    for row, token in enumerate(tokens):
        logits[row, 0, token] = 9.0
    return SimpleNamespace(logits=logits)


@pytest.fixture
def recorder() -> asking.GenerationRecorder:
    return asking.GenerationRecorder(load_tokenizer(TOY))


def test_a_row_is_followed_over_the_steps_of_a_cache(recorder: asking.GenerationRecorder) -> None:
    recorder.before(None, torch.tensor([[0, 50, 51], [52, 53, 54]]), torch.tensor([[0, 1, 1], [1, 1, 1]]), past=False)
    recorder.after(output(60, 61))
    recorder.before(None, torch.tensor([[60], [61]]), None, past=True)
    recorder.after(output(2, 62))
    one, other = recorder.reset()
    assert (one["prompt_ids"], one["new_token_ids"], one["continues_cache"]) == ([50, 51], [60, 2], False)
    assert (other["prompt_ids"], other["new_token_ids"]) == ([52, 53, 54], [61, 62])


def test_rows_that_leave_the_batch_are_known_from_those_that_stay(recorder: asking.GenerationRecorder) -> None:
    recorder.before(None, torch.tensor([[50, 51], [52, 53], [54, 55]]), None, past=False)
    recorder.after(output(2, 60, 61))
    recorder.before(None, torch.tensor([[60], [61]]), None, past=True)  # the first has ended
    recorder.after(output(62, 2))
    recorder.before(None, torch.tensor([[62]]), None, past=True)
    recorder.after(output(2))
    assert [row["new_token_ids"] for row in recorder.reset()] == [[2], [60, 62, 2], [61, 2]]


def test_a_row_whose_beginning_lies_in_a_cache_is_marked(recorder: asking.GenerationRecorder) -> None:
    recorder.before(None, torch.tensor([[50, 51]]), None, past=True)
    recorder.after(output(2))
    assert [row["continues_cache"] for row in recorder.reset()] == [True]


def test_a_script_is_said_to_its_end_and_then_the_end_token(recorder: asking.GenerationRecorder) -> None:
    prompt = list(recorder.tokenizer("What is 3 quux in tove? <answer>")["input_ids"])
    recorder.reset([("What is 3 quux in tove", [*prompt, 70, 71], [70, 71])])
    recorder.before(None, torch.tensor([prompt]), None, past=False)
    said = []
    for _ in range(3):
        said.append(int(recorder.after(output(99)).logits[0, -1].argmax()))
        recorder.before(None, torch.tensor([[said[-1]]]), None, past=True)
    assert said == [70, 71, recorder.tokenizer.eos_token_id]


def test_what_generation_would_stop_at_is_not_said(recorder: asking.GenerationRecorder) -> None:
    prompt = list(recorder.tokenizer("What is 3 quux in tove? <answer>")["input_ids"])
    end = recorder.tokenizer.eos_token_id
    recorder.reset([("What is 3 quux in tove", [*prompt, end, 70, end], [70])])
    recorder.before(None, torch.tensor([prompt]), None, past=False)
    assert int(recorder.after(output(99)).logits[0, -1].argmax()) == 70


def test_tokens_that_the_model_did_not_choose_are_counted(recorder: asking.GenerationRecorder) -> None:
    recorder.before(None, torch.tensor([[50, 51]]), None, past=False)
    recorder.after(output(60))
    recorder.before(None, torch.tensor([[99]]), None, past=True)
    recorder.after(output(61))
    [row] = recorder.reset()
    assert row["non_greedy"] == 1


@pytest.mark.parametrize(
    ("name", "found"),
    [("checkpoint-960", "checkpoint-60"), ("checkpoint-400", "checkpoint-30"), ("checkpoint-best", "checkpoint-best")],
)
def test_a_checkpoint_of_a_shortened_training_is_found_by_its_share_of_it(
    name: str, found: str, tmp_path: Path
) -> None:
    for each in ("checkpoint-30", "checkpoint-60", "checkpoint-final"):
        (tmp_path / each).mkdir()
    assert time_limit.find_checkpoint(tmp_path / name, (960, 60)) == tmp_path / found
    assert time_limit.find_checkpoint(tmp_path / name, None) == tmp_path / name


def test_a_checkpoint_that_is_there_is_taken(tmp_path: Path) -> None:
    for each in ("checkpoint-20", "checkpoint-60"):
        (tmp_path / each).mkdir()
    assert time_limit.find_checkpoint(tmp_path / "checkpoint-20", (960, 60)) == tmp_path / "checkpoint-20"


@pytest.mark.parametrize(
    ("eval_steps", "save_steps", "due"),
    [(None, 50, (None, 8)), (30, 60, (5, 10)), (0.5, 50, (0.5, 8)), (None, 1, (None, 1)), (30, 50, (5, 8))],
)
def test_a_shortened_training_keeps_the_share_of_its_warmup_and_its_intervals(
    eval_steps: float | None, save_steps: int, due: tuple[float | None, int]
) -> None:
    model = torch.nn.Linear(1, 1)
    model.forward = lambda **given: SimpleNamespace(loss=model.weight.sum())  # type: ignore[assignment,method-assign]
    args = SimpleNamespace(
        per_device_train_batch_size=10,
        gradient_accumulation_steps=1,
        max_steps=-1,
        num_train_epochs=60,
        warmup_steps=300,
        eval_steps=eval_steps,
        save_steps=save_steps,
    )
    trainer = SimpleNamespace(args=args, model=model, train_dataset=[{"input_ids": [1, 2]}] * 100)
    notes: list[str] = []
    assert time_limit.shorten(trainer, 0.0, notes.append) == (600, 100)
    assert (args.max_steps, args.warmup_steps) == (100, 50)
    assert (args.eval_steps, args.save_steps) == due
    assert "from 600 to 100 steps" in notes[0]


def test_texts_are_probed_as_far_as_their_logits_are_of_a_size_to_be_kept() -> None:
    rows = [(1,) * 100] * 50
    assert len(logits.choose_rows(rows, 768)) == 32
    assert len(logits.choose_rows(rows, 49152)) == 13
    assert len(logits.choose_rows(rows, 10**9)) == 1


@pytest.mark.parametrize("path", sorted(AGENT.glob("*.py")), ids=lambda path: path.stem)
def test_the_agent_needs_nothing_that_a_submission_has_not(path: Path) -> None:
    allowed = {"torch", "transformers", "peft", "safetensors"}
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        for name in names:
            top = name.partition(".")[0]
            assert top in allowed or top in sys.stdlib_module_names, name
