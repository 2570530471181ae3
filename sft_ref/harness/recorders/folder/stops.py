"""The stop contract: the token that ends answers in training, and the tokens that stop generation. Needs no weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sft_ref.errors import BaseModelError
from sft_ref.harness.evidence.answers import TEMPLATE
from sft_ref.harness.evidence.views import StopContract
from sft_ref.io.base_config import CONFIG, GENERATION_CONFIG
from sft_ref.io.reading import Refusal, kind_of, read_json

from .answers.wording import Wording, special_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_REFUSAL = Refusal(BaseModelError, "give the folder of a model")


class _Ends(msgspec.Struct):
    """The stop-token key of a generation_config or config."""

    eos_token_id: int | list[int] | None = None


class _Config(_Ends):
    """A config; that of a multimodal model nests a config for text."""

    text_config: _Ends | None = None


def find_stops(base: Path) -> tuple[int, ...]:
    """Returns the ids that stop generation by the base model's files, read as transformers' `generate` reads them.

    Raises:
        BaseModelError: a file cannot be read.
    """
    if kind_of(base / GENERATION_CONFIG) is not None:
        found = read_json(base / GENERATION_CONFIG, _Ends, _REFUSAL).eos_token_id
    else:
        config = read_json(base / CONFIG, _Config, _REFUSAL)
        nested = config.text_config.eos_token_id if config.text_config else None
        found = nested if config.eos_token_id is None else config.eos_token_id
    return () if found is None else tuple(found) if isinstance(found, list) else (found,)


def stop_contract(wording: Wording, tokenizer: PreTrainedTokenizerBase, base: Path) -> StopContract:
    """Returns the token that ends answers in the training texts, and the tokens that stop generation.

    Args:
        wording: format with at least one text.
        tokenizer: tokenizer of the texts.
        base: folder of the base model.

    Raises:
        BaseModelError: a file of the base model cannot be read.
    """
    closing = wording.texts[0].closing
    token = max((each for each in special_tokens(tokenizer) if closing.endswith(each)), key=len, default="")
    own: int = tokenizer.eos_token_id
    end = None if wording.name == TEMPLATE else own
    if token:
        end = tokenizer.get_vocab()[token]
    configured = find_stops(base)
    known = {each for each in (*configured, own, end) if each is not None and 0 <= each < len(tokenizer)}
    texts = {each: str(tokenizer.convert_ids_to_tokens(each)) for each in sorted(known)}
    return StopContract(wording.name, end, configured, own, texts)
