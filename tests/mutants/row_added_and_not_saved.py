"""The opening tag is a new token; its row of the embedding is drawn in training, and drawn anew on loading."""

from pathlib import Path
from typing import Any

from mutation import Mutant
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from sft_ref.reference.models import load_model, load_tokenizer
from sft_ref.reference.precision import Policy
from sft_ref.reference.prompt import OPEN_TAG

NEW = [*(f"<|spare {i}|>" for i in range(8)), OPEN_TAG]
"""More than the rows that the base has to spare."""


def extended(folder: Path) -> PreTrainedTokenizerBase:
    tokenizer = load_tokenizer(folder)
    tokenizer.add_tokens(NEW)
    return tokenizer


def resized(folder: Path, policy: Policy) -> PreTrainedModel:
    model: Any = load_model(folder, policy)
    model.resize_token_embeddings(len(extended(folder)), mean_resizing=False)
    loaded: PreTrainedModel = model
    return loaded


MUTANT = Mutant(
    id="row-not-saved",
    stage="tokens",
    checks=("TOK-014",),
    fault="the embedding of a new token is in no file",
    source="peft: resize_token_embeddings without modules_to_save",
    patches={
        "sft_ref.reference.base_llm.load_tokenizer": extended,
        "sft_ref.reference.models.load_tokenizer": extended,
        "sft_ref.reference.base_llm.load_model": resized,
    },
    retrain=True,
)
