"""While answering, attention sees the last 6 tokens only. Accuracy 0.00; sound 1.00."""

from typing import Any
from unittest import mock

from mutation import Mutant
from transformers.masking_utils import create_causal_mask, sliding_window_overlay

from sft_ref.reference.base_llm import BaseLLM

_complete = BaseLLM._complete


def windowed(**kwargs: Any) -> Any:
    return create_causal_mask(**kwargs, and_mask_function=sliding_window_overlay(6))


def broken(llm: BaseLLM, *args: Any) -> list[str]:
    with mock.patch("transformers.models.llama.modeling_llama.create_causal_mask", windowed):
        return _complete(llm, *args)


MUTANT = Mutant(
    id="short_attention_window",
    stage="generate",
    checks=(),
    fault="attention has a window of 6 tokens while the model answers",
    source="no report",
    patches={"sft_ref.reference.base_llm.BaseLLM._complete": broken},
)
