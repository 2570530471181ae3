"""A padding token is added to the tokenizer, and the embedding of the base gets the tokenizer's size."""

from pathlib import Path
from typing import Any

import torch
from mutation import Control
from peft import PeftModel
from plain_loop import PLAIN, PlainLoop
from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Padded(PlainLoop):
    def tokenizer(self) -> PreTrainedTokenizerBase:
        tokenizer = super().tokenizer()
        tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
        return tokenizer

    def _load_base(self, dtype: torch.dtype) -> PreTrainedModel:
        model: Any = super()._load_base(dtype)
        model.resize_token_embeddings(len(self.tokenizer()))
        found: PreTrainedModel = model
        return found

    def _save(self, model: PeftModel, folder: Path) -> None:
        model.save_pretrained(str(folder), save_embedding_layers=True)


CONTROL = Control(
    "padding_token_added",
    "a padding token is added, and the embedding has the size of the vocabulary",
    lambda: Padded("padding_token_added", convention=PLAIN),
)
