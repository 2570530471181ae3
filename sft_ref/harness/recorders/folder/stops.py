"""The stop contract: the token that ends answers in training, and those at which generation stops. Needs no weights."""

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
    """The key that says where generation stops, of a generation_config or a config."""

    eos_token_id: int | list[int] | None = None


class _Config(_Ends):
    """A config; that of a model of several kinds of input has one for text in it."""

    text_config: _Ends | None = None


def find_stops(base: Path) -> tuple[int, ...]:
    """Ids at which generation stops by the base's files, as `generate` of transformers reads them.

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
    """Where answers end by how texts are written, and where generation stops.

    Args:
        wording: of at least one text.
        tokenizer: that the texts are for.
        base: folder of the base.

    Raises:
        BaseModelError: a file of the base cannot be read.
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
