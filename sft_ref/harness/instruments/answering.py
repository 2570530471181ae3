"""Computes answers and losses of a model in a submission's convention."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sft_ref.harness.core.numerals import find_numerals, number, to_number
from sft_ref.reference.data import Row, is_answer_valid

from .convention import Convention
from .encoding import decode, encode
from .losses import pad, text_losses

_NEW = 48
_BATCH = 64
_FIRST = 8


def complete(model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]]) -> list[str]:  # noqa: ANN401
    """Returns greedy completions of prompts: new text only, special tokens kept."""
    end = tokenizer.eos_token_id
    rows = generate(model, tokenizer, prompts)
    return [decode(tokenizer, row[:-1] if row[-1:] == (end,) else row) for row in rows]


def generate(model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:  # noqa: ANN401
    """Returns the new tokens of greedy completions of prompts, up to and including the end token."""
    from transformers import GenerationConfig

    model.eval()
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    rows: list[tuple[int, ...]] = [()] * len(prompts)
    for start in range(0, len(order), _BATCH):
        chunk = order[start : start + _BATCH]
        ids = pad([prompts[i][::-1] for i in chunk], 0).flip(1)
        mask = pad([(1,) * len(prompts[i]) for i in chunk], 0).flip(1)
        config = GenerationConfig(
            max_new_tokens=_NEW, do_sample=False, eos_token_id=tokenizer.eos_token_id, pad_token_id=0
        )
        with torch.inference_mode():
            generated = model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
        for i, row in zip(chunk, generated[:, ids.shape[1] :].tolist(), strict=True):
            end = row.index(tokenizer.eos_token_id) + 1 if tokenizer.eos_token_id in row else len(row)
            rows[i] = tuple(row[:end])
    return rows


def read_number(text: str, convention: Convention) -> float:
    """Returns the number in a completion: the one before the text that ends an answer, or else the first."""
    found = find_numerals(text)
    ended = [numeral for numeral in found if f"{numeral}{convention.after.rstrip()[:2]}" in text]
    chosen = ended if convention.after.strip() else []
    return to_number((chosen or found)[0]) if found else math.nan


def training_prompts(rows: Sequence[Row], convention: Convention, tokenizer: Any) -> list[tuple[int, ...]]:  # noqa: ANN401
    """Encodes the text of each question up to its number, as in training."""
    return [encode(tokenizer, convention.lead(question)) for question, _ in rows]


def count(values: Sequence[object], rows: Sequence[Row]) -> tuple[float, float]:
    """Returns answer_rate and accuracy: the shares of answers that are numbers, and that are right."""
    numbers = [number(value) for value in values]
    answered = sum(not math.isnan(value) for value in numbers)
    return answered / len(rows), sum(right(numbers, rows)) / len(rows)


def right(values: Sequence[object], rows: Sequence[Row]) -> list[bool]:
    """Whether each answer is within 5 % of the truth; missing answers are wrong."""
    given = [number(value) for value in values][: len(rows)]
    given += [math.nan] * (len(rows) - len(given))
    return [is_answer_valid(value, truth) for value, (_, truth) in zip(given, rows, strict=True)]


def value_losses(
    model: Any,  # noqa: ANN401
    tokenizer: Any,  # noqa: ANN401
    rows: Sequence[Row],
    convention: Convention,
    *,
    with_end: bool = False,
) -> torch.Tensor:
    """Cross-entropy of each true number in the text format of training, in nat per token, shape (rows,).

    With `with_end`, the text that ends an answer counts, too.
    """
    prompts = training_prompts(rows, convention, tokenizer)
    wholes = [encode(tokenizer, convention.text(q, convention.write(v))) for q, v in rows]
    ends = [encode(tokenizer, f"{convention.lead(q)}{convention.write(v)}") for q, v in rows]
    each = zip(text_losses(model, wholes), prompts, ends, strict=True)
    return torch.stack(
        [
            row[len(prompt) - 1 : None if with_end else max(len(prompt), len(end) - 1)].mean()
            for row, prompt, end in each
        ]
    )


@dataclass(frozen=True)
class LogprobGap:
    """How far a generation's tokens are below a model's most likely ones, in nat: the largest value and the mean."""

    most: float
    mean: float


def shortfalls(model: Any, tokenizer: Any, generations: Sequence[Mapping[str, Any]]) -> list[LogprobGap]:  # noqa: ANN401
    """Computes the shortfalls of the first eight tokens of each generation.

    Padding that reached the model unmasked is removed here, so that each row is evaluated as if it were asked alone.
    Rows whose beginning is in a cache that was not observed are skipped. The token that ends a row counts only if it is
    the first: behind other tokens it may be padding, which follows a row that a stopping criterion has ended.
    """
    rows = []
    ends = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    for each in (row for row in generations if not row.get("continues_cache")):
        prompt, new = _unpadded(each["prompt_ids"], tokenizer.pad_token_id), list(each["new_token_ids"])[:_FIRST]
        end = max(1, next((n for n, token in enumerate(new) if token in ends), len(new)))
        if prompt and new and max(*prompt, *new[:end]) < len(tokenizer):
            rows.append((prompt, new[:end]))
    if not rows:
        return []
    found = []
    for start in range(0, len(rows), _BATCH):
        chunk = rows[start : start + _BATCH]
        wholes = [(*prompt, *new) for prompt, new in chunk]
        ids, mask = pad(wholes, 0), pad([(1,) * len(row) for row in wholes], 0)
        with torch.inference_mode():
            logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()
        for own, (prompt, new) in zip(logits, chunk, strict=True):
            at = own[len(prompt) - 1 : len(prompt) - 1 + len(new)]
            short = at.amax(-1) - at.gather(-1, torch.tensor(new)[:, None])[:, 0]
            found.append(LogprobGap(float(short.max()), float(short.mean())))
    return found


def _unpadded(prompt: Sequence[int], padding: int) -> list[int]:
    """Removes padding before a prompt, and all but one padding token after it, which may be meant to end it."""
    ids = list(prompt)
    while ids and ids[0] == padding:
        ids.pop(0)
    while ids[-2:] == [padding, padding]:
        ids.pop()
    return ids
