"""Forces a model to write given texts by changing its logits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch

from .questions import find_question
from .tracked_rows import GenerationRecorder, Script, TrackedRow

CERTAIN = 1000.0
"""Logit of a scripted token; all others get its negative. It is certain at every common temperature, and fits into
fp16 even after division by a temperature of 0.05."""


class ScriptedModel(GenerationRecorder):
    """A recorder that makes the model write scripts; a prompt without a script is left unchanged.

    This tests slicing, stopping, order and decoding exactly, independent of the weights.

    Args:
        tokenizer: the model's tokenizer.
        scripts: one script for each question; a generation's question index is the index of its script.
        strict: whether a script is written at each row's next token only, which reveals code that reads the logits of
            padding, and begins again after its end, which reveals code that does not stop. If False, it is written at
            every position, and its end is repeated.
        keep_nan: whether non-finite logits are kept. If False, the script is written whatever the model computes, so
            that only the code after generation is tested.
        keep_logits, on_untrackable: as in `GenerationRecorder`. The model's original logits are kept.
        only_question: the only question whose prompt is needed; the completion does not matter.

    While a prompt is fed in pieces, the model writes a token that the prompt does not contain; when that token is fed
    back, the prompt has ended.
    """

    def __init__(
        self,
        tokenizer: Any,  # noqa: ANN401
        scripts: Sequence[Script],
        *,
        strict: bool = False,
        keep_nan: bool = False,
        keep_logits: bool = False,
        only_question: str = "",
        on_untrackable: Callable[[str], object] = lambda reason: None,
    ) -> None:
        questions = [script.question for script in scripts]
        super().__init__(tokenizer, questions, keep_logits=keep_logits, on_untrackable=on_untrackable)
        self.scripts, self.strict, self.keep_nan, self.only_question = list(scripts), strict, keep_nan, only_question
        self._marker: int | None = None
        self._in_batch: Counter[int] = Counter()

    def before(self, ids: torch.Tensor, mask: Any = None, cache: Any = None) -> None:  # noqa: ANN401
        """Like the recorder's method."""
        self._in_batch.clear()
        super().before(ids, mask, cache)

    def after(self, logits: torch.Tensor) -> torch.Tensor:
        """Like the recorder's method, but returns logits that force scripted rows to continue as scripted."""
        logits = super().after(logits)
        written = logits.clone()
        each = written if logits.dim() > 2 else written.unsqueeze(1)  # noqa: PLR2004
        for number, row in enumerate(self._rows):
            next_token = self._next_token(row, logits.shape[-1])
            if next_token is None or number >= len(each) or (self.strict and row.place is None):
                continue
            row.likeliest = row.forced = next_token
            places = slice(None) if row.place is None or not self.strict else slice(row.place, row.place + 1)
            own = each[number, places].clone()
            each[number, places] = -CERTAIN
            each[number, places, next_token] = CERTAIN
            if self.keep_nan and not own.isfinite().all():
                each[number, places] = own
        return written

    def _may_go_on(self, prompt: Sequence[int], past: int) -> bool:
        return bool(self.only_question) or super()._may_go_on(prompt, past)

    def _next_token(self, row: TrackedRow, vocabulary: int) -> int | None:
        """Returns the next token of a row; None if the row is not scripted."""
        step, script, prompt = len(row.generation.new_token_ids), row.script, row.generation.prompt_ids
        is_read = bool(self.scripts or self.only_question)
        if is_read and row.generation.in_pieces and not step and (script is None or self._is_beginning(prompt)):
            self._marker = self._marker or self._choose_marker(vocabulary)
            return self._marker
        if script is None:
            return None
        return script[step % len(script) if self.strict else min(step, len(script) - 1)]

    def _choose_marker(self, vocabulary: int) -> int:
        """Returns a token that neither a script nor the question contains."""
        held = self._special.union(*(script.whole for script in self.scripts))
        held |= {*self.tokenizer(self.only_question, add_special_tokens=False)["input_ids"]}
        return max(set(range(min(vocabulary, len(self.tokenizer)))) - held)

    def _is_beginning(self, prompt: Sequence[int]) -> bool:
        """Whether ids are an incomplete prompt of a script."""
        return any(
            tuple(prompt) == script.whole[: len(prompt)] and len(prompt) < script.least for script in self.scripts
        )

    def identify(self, prompt: Sequence[int]) -> tuple[int | None, tuple[int, ...] | None]:
        """Returns the index of the script for a prompt, and the ids to write after it."""
        ids = tuple(prompt)
        for number, script in enumerate(self.scripts):
            if script.whole[: len(ids)] == ids and len(ids) >= script.least:
                return number, self._end(self._skip_end(self._choose_sample(number).whole[len(ids) :]))
        text = self.decode(ids)
        found = find_question(self.questions, text)
        if found is None:
            return None, None
        script = self._choose_sample(found)
        whole = self.decode(script.whole)
        if len(ids) >= script.least and whole.startswith(text):  # the same text, tokenized differently
            rest = self.tokenizer(whole[len(text) :], add_special_tokens=False)["input_ids"]
            return found, self._end(self._skip_end(tuple(rest)))
        return found, self._end(script.target)

    def _choose_sample(self, number: int) -> Script:
        """Returns the script of the next row of this batch with a question."""
        self._in_batch[number] += 1
        script = self.scripts[number]
        return script.third if script.third and self._in_batch[number] % 3 == 0 else script

    def _skip_end(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        """Removes end-of-sequence tokens that training has before the answer: generation would end there."""
        at = next((n for n, token in enumerate(ids) if token != self.tokenizer.eos_token_id), len(ids))
        return ids[at:]

    def _end(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        end = self.tokenizer.eos_token_id
        return ids if ids[-1:] == (end,) else (*ids, end)
