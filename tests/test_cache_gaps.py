"""GEN-108: log probabilities of generated tokens, recorded while they are generated, against one forward pass."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sft_ref import BaseLLM
from sft_ref.harness.checks.submission.generate import cache_changes_nothing
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.instruments.generation_recorder import scripted_model
from sft_ref.harness.recorders.submission.answer_parts import _cache_gaps

END = 2
QUESTIONS = ("How many gram are there per 6 kg?", "What is 7 km/h in mph?")


@pytest.mark.parametrize("use_cache", [True, False])
def test_log_probabilities_are_those_of_the_tokens_alone(blank_toy: BaseLLM, use_cache: bool) -> None:
    tokenizer, model = blank_toy.tokenizer, blank_toy.model
    batch = tokenizer(list(QUESTIONS), padding=True, padding_side="left", return_tensors="pt")
    with scripted_model(model, tokenizer, []) as recorder:
        model.generate(**batch, max_new_tokens=6, do_sample=False, use_cache=use_cache, pad_token_id=0)
    assert len(recorder.generations) == len(QUESTIONS)
    for row in recorder.generations:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([[*row.prompt_ids, *row.new_token_ids]])).logits[0].float()
        due = logits[len(row.prompt_ids) - 1 : -1].log_softmax(-1).gather(-1, torch.tensor(row.new_token_ids)[:, None])
        assert row.log_probs == pytest.approx(due[:, 0].tolist(), abs=1e-4)


def test_a_row_counts_up_to_its_end_and_a_token_where_both_are_known() -> None:
    section = {
        "new_token_ids": [[5, END, 9], [5, 6], [7], [8]],
        "generated": [[-0.5, -0.1, -9.0], [-1.0, math.nan], [math.nan], [-1.0]],
        "alone": [[-0.1, -0.4, 0.0], [-1.5, -1.0], [0.0], [-math.inf]],
    }
    assert list(_cache_gaps(END, section)) == pytest.approx([math.sqrt((0.4**2 + 0.3**2) / 2), 0.5])
    assert list(_cache_gaps(END, {})) == []


def evidence(*gaps: float, dtype: str = "torch.float32", autocast: str | None = None) -> Any:  # noqa: ANN401
    generations = SimpleNamespace(cache_gaps=gaps, autocast=autocast)
    return SimpleNamespace(generations=generations, loaded=SimpleNamespace(dtypes=frozenset({dtype})))


@pytest.mark.parametrize(
    ("gap", "options", "fails"),
    [
        (4e-7, {}, False),
        (2e-3, {}, True),
        (4e-4, {"dtype": "torch.bfloat16"}, False),
        (2e-3, {"autocast": "torch.bfloat16"}, False),
        (2.9, {"dtype": "torch.bfloat16"}, True),
    ],
)
def test_the_limit_is_that_of_the_precision(gap: float, options: dict[str, Any], fails: bool) -> None:
    if not fails:
        cache_changes_nothing.run(evidence(gap, gap, **options))
        return
    with pytest.raises(Failure, match="root mean square over 2 generations"):
        cache_changes_nothing.run(evidence(0.0, gap, **options))


def test_without_a_generation_it_is_skipped() -> None:
    with pytest.raises(Unavailable):
        cache_changes_nothing.run(evidence())
