"""Queries a model with its tokenizer: losses of the true answers, and greedy answers."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sft_ref.errors import AdapterError
from sft_ref.harness.core.implementation import Batch
from sft_ref.harness.core.judges import Judge
from sft_ref.harness.core.numerals import find_numerals, last_number, to_number
from sft_ref.harness.evidence.answers import Answer
from sft_ref.harness.instruments.losses import forward, losses_of
from sft_ref.io.rows.forms import Row
from sft_ref.reference import tokens
from sft_ref.reference.data import is_answer_valid
from sft_ref.reference.texts import normalise

from .wording import WordedText, special_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LOGITS = 2**26
"""Maximum number of logits in one batch: a quarter of a gigabyte in fp32."""

_MARGIN = 16
"""Number of tokens by which a generated answer may exceed the longest true one."""

_SETTINGS = (
    *("repetition_penalty", "no_repeat_ngram_size", "encoder_repetition_penalty", "min_length", "min_new_tokens"),
    *("bad_words_ids", "suppress_tokens", "begin_suppress_tokens", "forced_bos_token_id", "forced_eos_token_id"),
    *("sequence_bias", "exponential_decay_length_penalty", "guidance_scale"),
)
"""Settings of a generation_config that change the token chosen by greedy decoding."""


@dataclass(frozen=True)
class Encoded:
    """A text as token ids: the prompt as sent, and the answer with its closing."""

    prompt: tuple[int, ...]
    target: tuple[int, ...]

    @property
    def example(self) -> tokens.Example:
        """The text as a training example."""
        return tokens.Example((*self.prompt, *self.target), len(self.target))


class ModelEvaluator:
    """Queries a model with its tokenizer.

    Args:
        model: model in evaluation mode; a PeftModel, or the plain model after the adapter is merged.
        tokenizer: tokenizer of the adapter.
        judge: decides whether an answer is right; None accepts numbers within 5 %, and texts that differ only in case,
            spaces or a full stop.

    Attributes:
        inner: the transformers model, with the adapter's layers in it.
        stops: ids at which generation stops: those of the generation_config, and the tokenizer's end of sequence.
        padding: id that pads rows; it is masked, so any id will do if the tokenizer has none.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401  # a PeftModel
        tokenizer: PreTrainedTokenizerBase,
        judge: Judge | None = None,
    ) -> None:
        self.model, self.tokenizer, self.judge = model, tokenizer, judge
        self.inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        end = tokenizer.eos_token_id
        configured = self.inner.generation_config.eos_token_id
        configured = configured if isinstance(configured, list) else [configured]
        self.stops = tuple(dict.fromkeys(int(each) for each in (*configured, end) if each is not None))
        self._rows = len(self.inner.get_input_embeddings().weight)
        padding = (tokenizer.pad_token_id, end, 0)  # an added padding token need not have a row
        self.padding: int = next(each for each in padding if each is not None and each < self._rows)

    def encode(self, text: WordedText) -> Encoded:
        """Tokenizes a text as at inference, split where the answer begins.

        Raises:
            AdapterError: a token has no row in the embedding.
        """
        prompt = list(self.tokenizer(text.prompt, add_special_tokens=not text.complete)["input_ids"])
        is_ended = prompt[-1:] == [self.tokenizer.eos_token_id]
        if is_ended and not text.complete and not text.prompt.endswith(str(self.tokenizer.eos_token)):
            prompt.pop()  # appended by a tokenizer that is configured to end texts for training
        target = self.tokenizer(text.answer + text.closing, add_special_tokens=False)["input_ids"]
        if (largest := max([*prompt, *target], default=0)) >= self._rows:
            token = self.tokenizer.decode([largest])
            raise AdapterError(
                f"the token {token!r} has the id {largest}, and the embedding has {self._rows} rows; save the embedding"
                " with the adapter (save_embedding_layers=True, or modules_to_save)"
            )
        return Encoded(tuple(prompt), tuple(target))

    def losses(self, rows: Sequence[Encoded]) -> tuple[torch.Tensor, tuple[bool, ...]]:
        """Returns each true answer's loss, in nat per token, and whether all its tokens are the argmax."""
        losses: list[torch.Tensor] = []
        known: list[bool] = []
        for batch in self.batches(rows):
            logits = forward(self.model, batch)
            losses.append(losses_of(logits, batch))
            due = batch.labels[:, 1:]
            hit = logits[:, :-1].argmax(-1).cpu() == due
            known += (hit | (due == tokens.IGNORE_INDEX)).all(1).tolist()
        return torch.cat(losses), tuple(known)

    def log_probabilities(self, rows: Sequence[Encoded]) -> torch.Tensor:
        """Returns log-probabilities of every token at each position of the texts: (tokens, vocabulary)."""
        logits = (forward(self.model, each).float().cpu()[each.attention_mask.bool()] for each in self.batches(rows))
        return torch.cat([each.log_softmax(-1) for each in logits])

    def batches(self, rows: Sequence[Encoded]) -> Iterator[Batch]:
        """Yields batches as large as memory allows; labels are the targets."""
        longest = max(len(row.prompt) + len(row.target) for row in rows)
        size = max(1, LOGITS // (longest * int(self.model.config.vocab_size)))
        for start in range(0, len(rows), size):
            made = tokens.collate([row.example for row in rows[start : start + size]], self.padding)
            yield Batch(made["input_ids"], made["attention_mask"], made["labels"])

    def generate(
        self, prompts: Sequence[Sequence[int]], budget: int, settings: Mapping[str, Any] | None = None
    ) -> list[list[int]]:
        """Generates greedy continuations: new ids only, up to and including the stop token.

        Args:
            prompts: prompts as token ids.
            budget: maximum number of new tokens per row.
            settings: generation settings; those of the base model are not used.
        """
        from transformers import GenerationConfig

        config = GenerationConfig(
            max_new_tokens=budget,
            do_sample=False,
            eos_token_id=list(self.stops) or None,
            pad_token_id=self.padding,
            **copy.deepcopy(dict(settings or {})),
        )
        batch = tokens.collate([tokens.Example(tuple(prompt), len(prompt)) for prompt in prompts], self.padding)
        device = next(self.inner.parameters()).device
        ids, mask = batch["input_ids"].to(device), batch["attention_mask"].to(device)
        own, self.inner.generation_config = self.inner.generation_config, GenerationConfig()  # `generate` merges it in
        try:
            with torch.inference_mode():
                output = self.inner.generate(input_ids=ids, attention_mask=mask, generation_config=config)
        finally:
            self.inner.generation_config = own
        return [self._until_stop(row) for row in output[:, ids.shape[1] :].tolist()]

    def _until_stop(self, ids: list[int]) -> list[int]:
        end = next((n for n, token in enumerate(ids) if token in self.stops), None)
        return ids if end is None else ids[: end + 1]

    def base_settings(self) -> dict[str, Any]:
        """Returns the settings of the base model's generation_config that change greedy decoding."""
        from transformers import GenerationConfig

        default, own = GenerationConfig(), self.inner.generation_config
        found = {name: getattr(own, name, None) for name in _SETTINGS}
        return {
            name: value
            for name, value in found.items()
            if value is not None and value != getattr(default, name, None) and value not in (0, 1, 1.0)
        }

    def answers(
        self, rows: Sequence[Row], texts: Sequence[WordedText], settings: Mapping[str, Any] | None = None
    ) -> tuple[Answer, ...]:
        """Generates greedy answers to rows and compares them with the true ones."""
        generated = self.complete([self.encode(text) for text in texts], settings)
        return tuple(self.read(*each) for each in zip(generated, rows, texts, strict=True))

    def complete(self, rows: Sequence[Encoded], settings: Mapping[str, Any] | None = None) -> list[list[int]]:
        """Generates greedy continuations with room for the true answers and a little more, see `generate`."""
        budget = max(len(each.target) for each in rows) + _MARGIN
        return self.generate([each.prompt for each in rows], budget, settings)

    def read(self, ids: Sequence[int], row: Row, text: WordedText) -> Answer:
        """Extracts the answer from a continuation and compares it with the true one."""
        stopped = bool(ids) and ids[-1] in self.stops
        whole = str(self.tokenizer.decode(list(ids[:-1] if stopped else ids), skip_special_tokens=False))
        special = special_tokens(self.tokenizer)
        at, followed_by = min(
            ((at, token) for token in special if (at := whole.find(token)) >= 0), default=(len(whole), "")
        )
        answer, closing = whole[:at], text.closing.strip()
        if closing and closing not in special and closing in answer:
            answer, stopped, followed_by = answer.partition(closing)[0], True, ""
        goes_on = not stopped and not followed_by
        right = self.judge(answer.strip(), row.answer) if self.judge else _is_right(answer, row, goes_on=goes_on)
        return Answer(answer, right, stopped, followed_by)


def _is_right(answer: str, row: Row, *, goes_on: bool) -> bool:
    if row.value is not None:
        numbers = [last_number(answer)]
        if goes_on:
            numbers += [to_number(numeral) for numeral in find_numerals(answer)[:1]]
        return any(not math.isnan(number) and is_answer_valid(number, row.value) for number in numbers)
    due, found = normalise(row.answer), normalise(answer)
    return found == due or (goes_on and found.startswith(due) and not found[len(due) : len(due) + 1].isalnum())
