"""Compares the prompts that are sent with those of training by the loss of the true answer after each.

Losses decide where answers cannot: a training that was cut for time answers nothing, but still knows its own prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sft_ref.harness.core.findings import Unavailable
from sft_ref.harness.instruments.convention import find_frame
from sft_ref.harness.instruments.encoding import decode, encode
from sft_ref.harness.instruments.losses import text_losses
from sft_ref.reference.data import Row

from .recording import Recording

_BATCH = 32
_SAME = 0.95
"""Share of the sent prompts that a frame must reproduce, token by token, to be used for further questions."""
_OVERLAP = 3
"""Minimum number of characters that a prompt must share with the text before the number to count as its beginning."""

Ids = tuple[int, ...]


def compare_prompts(recording: Recording, model: Any) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401
    """Computes one model's losses of the true answers, after the prompts that are sent and after those of training.

    The answer is the number with the text that training writes before it. Its loss, in nat, is divided by the number's
    token count alone, so that a prompt which leaves more text to write gains no advantage.

    Raises:
        Unavailable: the convention is unknown, or too few prompts were seen.
    """
    convention = recording.convention
    if convention is None or not recording.writes_alike:
        raise Unavailable("the training text of a fresh question is unknown")
    rows, sent = _sent(recording)
    due, sent_targets, due_targets, lengths = [], [], [], []
    for (question, value), prompt in zip(rows, sent, strict=True):
        lead, numeral = convention.lead(question), convention.write(value)
        own = recording.expected_prompt(question)
        whole, begun = encode(recording.tokenizer, f"{lead}{numeral}"), encode(recording.tokenizer, own)
        rest = lead[len(own) :]
        target = (
            whole[len(begun) :] if whole[: len(begun)] == begun else encode(recording.tokenizer, f"{rest}{numeral}")
        )
        left = left_to_write(lead, rest, decode(recording.tokenizer, prompt))
        due.append(begun)
        due_targets.append(target)
        sent_targets.append(target if left == rest else encode(recording.tokenizer, f"{left}{numeral}"))
        lengths.append(len(encode(recording.tokenizer, numeral)))
    return answer_losses(model, sent, sent_targets, lengths), answer_losses(model, due, due_targets, lengths)


def left_to_write(lead: str, rest: str, sent: str) -> str:
    """Returns the text still to be written between a prompt and the number, as in training."""
    if lead.startswith(sent):
        return lead[len(sent) :]
    for ends in (sent, sent.rstrip()):
        for length in range(len(rest), 0, -1):
            begun = rest[:length].lstrip()
            if (len(begun) >= _OVERLAP or begun == rest.lstrip()) and begun and ends.endswith(begun):
                return rest[length:]
    return rest


def _sent(recording: Recording) -> tuple[list[Row], list[Ids]]:
    """Returns fresh questions with their sent prompts; if one frame reproduces them, with further questions in it."""
    asked = [
        (row, prompt)
        for row, prompt in zip(
            recording.questions, recording.prompts(recording.asked, recording.questions), strict=True
        )
        if prompt
    ]
    if len(asked) < len(recording.questions) / 2:
        raise Unavailable(f"prompts of {len(asked)} of {len(recording.questions)} questions were observed")
    rows, prompts = [row for row, _ in asked], [prompt for _, prompt in asked]
    frame = find_frame([question for question, _ in rows], [decode(recording.tokenizer, each) for each in prompts])
    if frame is None:
        return rows, prompts
    made = [encode(recording.tokenizer, frame.lead(question)) for question, _ in rows]
    if sum(one == other for one, other in zip(made, prompts, strict=True)) < _SAME * len(prompts):
        return rows, prompts
    more = recording.further_questions
    return [*rows, *more], [*prompts, *(encode(recording.tokenizer, frame.lead(question)) for question, _ in more)]


def answer_losses(
    model: Any,  # noqa: ANN401
    prompts: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    lengths: Sequence[int],
) -> torch.Tensor:
    """Computes each target's cross-entropy after its prompt, in nat, divided by its given length: (rows,)."""
    losses = []
    for start in range(0, len(prompts), _BATCH):
        chunk = range(start, min(start + _BATCH, len(prompts)))
        wholes = [(*prompts[i], *targets[i]) for i in chunk]
        for row, i in zip(text_losses(model, wholes), chunk, strict=True):
            begin = len(prompts[i]) - 1
            losses.append(row[begin : begin + len(targets[i])].sum() / max(1, lengths[i]))
    return torch.stack(losses) if losses else torch.zeros(0, dtype=torch.double)
