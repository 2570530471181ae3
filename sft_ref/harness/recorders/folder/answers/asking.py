"""Asks a model: the losses of true answers, and greedy answers of its own. Knows nothing of adapters."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sft_ref.harness.core.implementation import Batch
from sft_ref.harness.instruments.losses import forward, losses_of
from sft_ref.harness.instruments.numerals import find_numerals, last_number, to_number
from sft_ref.reference import tokens
from sft_ref.reference.data import is_answer_valid

from .evidence import Answer
from .rows import Row
from .wording import Text, special_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_LOGITS = 2**26
"""Numbers in the logits of one batch: a quarter of a gigabyte in fp32."""

_MARGIN = 16
"""Tokens that an answer may be longer than the longest true one."""

SETTINGS = (
    *("repetition_penalty", "no_repeat_ngram_size", "encoder_repetition_penalty", "min_length", "min_new_tokens"),
    *("bad_words_ids", "suppress_tokens", "begin_suppress_tokens", "forced_bos_token_id", "forced_eos_token_id"),
    *("sequence_bias", "exponential_decay_length_penalty", "guidance_scale"),
)
"""Those of a generation_config that change which token greedy decoding takes."""


@dataclass(frozen=True)
class Encoded:
    """A text as ids: the prompt as it is sent, and the answer with what closes it."""

    prompt: tuple[int, ...]
    target: tuple[int, ...]

    @property
    def example(self) -> tokens.Example:
        """What training would see of it."""
        return tokens.Example((*self.prompt, *self.target), len(self.target))


def encode(tokenizer: PreTrainedTokenizerBase, text: Text) -> Encoded:
    """Ids of a text, split where the answer begins, as it is when the question is asked."""
    prompt = list(tokenizer(text.prompt, add_special_tokens=not text.complete)["input_ids"])
    end = tokenizer.eos_token_id
    if not text.complete and prompt[-1:] == [end] and not text.prompt.endswith(str(tokenizer.eos_token)):
        prompt.pop()  # by a tokenizer that was told to end texts for training
    target = tokenizer(text.answer + text.closing, add_special_tokens=False)["input_ids"]
    return Encoded(tuple(prompt), tuple(target))


def teacher_forced(
    model: Any,  # noqa: ANN401
    rows: Sequence[Encoded],
    padding: int,
) -> tuple[torch.Tensor, tuple[bool, ...]]:
    """The loss of each true answer, in nat a token, and whether all its tokens are the likeliest."""
    losses: list[torch.Tensor] = []
    known: list[bool] = []
    for batch in _batches(model, rows, padding):
        logits = forward(model, batch)
        losses.append(losses_of(logits, batch))
        due = batch.labels[:, 1:]
        hit = logits[:, :-1].argmax(-1).cpu() == due
        known += (hit | (due == tokens.IGNORE_INDEX)).all(1).tolist()
    return torch.cat(losses), tuple(known)


def log_probabilities(model: Any, rows: Sequence[Encoded], padding: int) -> torch.Tensor:  # noqa: ANN401
    """Of every token, behind each token of the texts: (tokens, vocabulary)."""
    batches = _batches(model, rows, padding)
    found = [forward(model, each).float().cpu()[each.attention_mask.bool()].log_softmax(-1) for each in batches]
    return torch.cat(found)


def _batches(model: Any, rows: Sequence[Encoded], padding: int) -> Iterator[Batch]:  # noqa: ANN401
    longest = max(len(row.prompt) + len(row.target) for row in rows)
    size = max(1, _LOGITS // (longest * int(model.config.vocab_size)))
    for start in range(0, len(rows), size):
        made = tokens.collate([row.example for row in rows[start : start + size]], padding)
        yield Batch(made["input_ids"], made["attention_mask"], made["labels"])


@contextmanager
def _plainly(model: Any) -> Iterator[None]:  # noqa: ANN401
    """Within it, `generate` finds no settings of the base: it fills in what a call leaves open."""
    from transformers import GenerationConfig

    own, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


def generate(
    model: Any,  # noqa: ANN401
    prompts: Sequence[Sequence[int]],
    *,
    stops: Sequence[int],
    padding: int,
    budget: int,
    settings: dict[str, Any] | None = None,
) -> list[list[int]]:
    """Greedy continuations, new ids only, up to and with the token that stops them.

    Args:
        model: of transformers, whatever layers an adapter has put into it.
        prompts: as ids.
        stops: ids at which a row ends.
        padding: id of the padding.
        budget: most new tokens of a row.
        settings: of generation, beside those.
    """
    from transformers import GenerationConfig

    config = GenerationConfig(
        max_new_tokens=budget,
        do_sample=False,
        eos_token_id=list(stops) or None,
        pad_token_id=padding,
        **copy.deepcopy(settings or {}),
    )
    batch = tokens.collate([tokens.Example(tuple(prompt), len(prompt)) for prompt in prompts], padding)
    device = next(model.parameters()).device
    ids, mask = batch["input_ids"].to(device), batch["attention_mask"].to(device)
    with torch.inference_mode(), _plainly(model):
        said = model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
    return [_until(row, stops) for row in said[:, ids.shape[1] :].tolist()]


def _until(ids: list[int], stops: Sequence[int]) -> list[int]:
    end = next((n for n, token in enumerate(ids) if token in stops), None)
    return ids if end is None else ids[: end + 1]


def own_settings(model: Any) -> dict[str, Any]:  # noqa: ANN401
    """What a model's generation_config asks for that changes a greedy choice."""
    from transformers import GenerationConfig

    plain = GenerationConfig()
    found = {name: getattr(model.generation_config, name, None) for name in SETTINGS}
    return {
        name: value
        for name, value in found.items()
        if value is not None and value != getattr(plain, name, None) and value not in (0, 1, 1.0)
    }


def stop_ids(model: Any, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:  # noqa: ANN401
    """Ids at which generation stops: those of the generation_config, and the tokenizer's end of sequence."""
    configured = model.generation_config.eos_token_id
    configured = configured if isinstance(configured, list) else [configured]
    return tuple(dict.fromkeys(int(each) for each in (*configured, tokenizer.eos_token_id) if each is not None))


def padding_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id that fills rows up; it is masked, so that any will do where the tokenizer has none."""
    return next(each for each in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if each is not None)


def budget_for(rows: Sequence[Encoded]) -> int:
    """New tokens that answers of these rows are given."""
    return max(len(row.target) for row in rows) + _MARGIN


def read_answer(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], stops: Sequence[int], row: Row, text: Text
) -> Answer:
    """What was written for a row, held against the true answer."""
    stopped = bool(ids) and ids[-1] in stops
    whole = str(tokenizer.decode(list(ids[:-1] if stopped else ids), skip_special_tokens=False))
    places = [(at, token) for token in special_tokens(tokenizer) if (at := whole.find(token)) >= 0]
    at, followed_by = min(places, default=(len(whole), ""))
    said, closing = whole[:at], text.closing.strip()
    is_text = bool(closing) and closing not in special_tokens(tokenizer)
    if is_text and closing in said:
        said, stopped, followed_by = said.partition(closing)[0], True, ""
    goes_on = not stopped and not followed_by
    return Answer(said, _is_right(said, row, goes_on=goes_on), stopped, followed_by)


def _is_right(said: str, row: Row, *, goes_on: bool) -> bool:
    if row.value is not None:
        numbers = [last_number(said)]
        if goes_on:
            numbers += [to_number(numeral) for numeral in find_numerals(said)[:1]]
        return any(not math.isnan(number) and is_answer_valid(number, row.value) for number in numbers)
    due, found = normalise(row.answer), normalise(said)
    return found == due or (goes_on and found.startswith(due) and not found[len(due) : len(due) + 1].isalnum())


def normalise(text: str) -> str:
    """A text whatever its case, its spaces, and a full stop at its end."""
    return re.sub(r"\s+", " ", text).strip().rstrip(".").strip().casefold()
