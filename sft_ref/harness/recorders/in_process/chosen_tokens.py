"""Records the tokens that greedy generation chooses, with the logits they are chosen from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sft_ref.harness.evidence.views import ChosenTokens
from sft_ref.harness.instruments.encoding import decode
from sft_ref.harness.instruments.scripted.tracked_rows import GeneratedRow

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def chosen_tokens_of(generations: Iterable[GeneratedRow], tokenizer: PreTrainedTokenizerBase) -> ChosenTokens:
    """Counts generated tokens, up to the first end of each row, that do not have the highest logit.

    Rows whose prompt is fed in pieces are skipped, since the recorder takes their prompt tokens for new ones.
    """
    unlikely, count, example = 0, 0, ""
    for row in generations:
        if row.in_pieces:
            continue
        for step, token in enumerate(row.new_token_ids):
            count += 1
            logits = row.logits.get(step)
            if logits is not None and logits[token] < logits.max():
                unlikely += 1
                chosen, best = (decode(tokenizer, (each,)) for each in (token, int(logits.argmax())))
                before = decode(tokenizer, (*row.prompt_ids, *row.new_token_ids[:step]))
                below = f"{float(logits.max() - logits[token]):.2g} below {best!r}"
                example = example or f"{chosen!r} is chosen, {below}, after {before!r}"
            if token == tokenizer.eos_token_id:
                break  # the rest is padding
    return ChosenTokens(unlikely, count, example=example)
