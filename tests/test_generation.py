"""The decoding loop: what transformers' own gives, with rows that leave, and nothing left behind."""

from typing import Any

import pytest
import torch
import transformers
from packaging.version import Version

import sft_ref.reference.base_llm
from sft_ref import BaseLLM, format_prompt, split_rows

PROMPTS = [format_prompt(question) for question, _ in split_rows("validation")[:40]]

pytestmark = pytest.mark.skipif(
    Version(transformers.__version__) < Version("4.57"), reason="before 4.57 `generate` takes no loop"
)


@pytest.mark.parametrize("temperature", [0, 0.5, 1.5])
def test_the_loop_gives_what_that_of_transformers_gives(
    temperature: float, toy_llm: BaseLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    ours = toy_llm.batched_generate(PROMPTS, 1, temperature)
    monkeypatch.setattr(sft_ref.reference.base_llm, "LOOP", {})
    torch.manual_seed(0)
    assert toy_llm.batched_generate(PROMPTS, 1, temperature) == ours


def test_after_the_end_of_a_sampled_row_there_is_only_padding(
    toy_llm: BaseLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = toy_llm.tokenizer
    monkeypatch.setattr(tokenizer, "batch_decode", lambda ids, **_: ids.tolist())
    rows: Any = [row for [row] in toy_llm.batched_generate(PROMPTS, 1, 0.5)]
    after = [row[row.index(tokenizer.eos_token_id) + 1 :] for row in rows if tokenizer.eos_token_id in row]
    assert len({len(ids) for ids in after}) > 1
    assert {token for ids in after for token in ids} == {tokenizer.pad_token_id}


def test_rows_that_have_ended_leave_and_the_head_sees_one_position(toy_llm: BaseLLM) -> None:
    seen: list[torch.Size] = []
    head: Any = toy_llm.model.get_output_embeddings()
    hook = head.register_forward_hook(lambda _, args, __: seen.append(args[0].shape[:2]))
    toy_llm.batched_generate(PROMPTS)
    hook.remove()
    rows = [shape[0] for shape in seen]
    assert rows == sorted(rows, reverse=True)
    assert rows[0] == len(PROMPTS) > rows[-1]
    assert {shape[1] for shape in seen} == {1}
    assert not head._forward_pre_hooks
