"""A new token begins each prompt; its embedding is trained and saved with the adapter."""

from dataclasses import replace
from typing import Any

import torch
from mutation import Control
from plain_loop import PLAIN, PlainLoop
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from sft_ref.reference.bases.find import find_base
from sft_ref.reference.models import load_tokenizer

NEW = "<|convert|>"


class Extended(PlainLoop):
    def tokenizer(self) -> PreTrainedTokenizerBase:
        tokenizer = super().tokenizer()
        tokenizer.add_tokens([NEW])
        return tokenizer

    def _load_base(self, dtype: torch.dtype) -> PreTrainedModel:
        model: Any = super()._load_base(dtype)
        known = model.get_input_embeddings().weight.shape[0]
        model.resize_token_embeddings(max(known, len(self.tokenizer())), mean_resizing=False)
        embedding = model.get_input_embeddings().weight.data
        embedding[known:] = embedding[:known].mean(0)
        found: PreTrainedModel = model
        return found


CONTROL = Control(
    "token_added_and_saved",
    "a new token begins each prompt, and its embedding is saved with the adapter",
    lambda: Extended(
        "token_added_and_saved",
        convention=replace(PLAIN, prompt=lambda question: f"{NEW}{question.strip()} <answer>"),
        lora={
            "target_modules": "all-linear",
            "trainable_token_indices": {"embed_tokens": [len(load_tokenizer(find_base("toy")))]},
        },
    ),
)
