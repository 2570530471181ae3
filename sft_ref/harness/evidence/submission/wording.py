"""Differences between prompts and training texts, and the text that the model then has to generate itself."""

from __future__ import annotations

from collections.abc import Iterator

from sft_ref.harness.core.findings import Unavailable
from sft_ref.harness.evidence.answering import Prompts
from sft_ref.harness.evidence.texts import Prompt, TrainingText
from sft_ref.harness.evidence.training import Examples


def pair_prompts(prompts: Prompts, examples: Examples) -> Iterator[tuple[TrainingText, Prompt]]:
    """Yields training texts with the prompts that were sent for their questions."""
    for text, prompt in zip(examples.texts, prompts.trained, strict=False):
        if prompt is not None:
            yield text, prompt


def mismatched_prompts(prompts: Prompts, examples: Examples) -> list[tuple[str, str]]:
    """Returns the prompts of trained questions that are no prefix of their training text up to the answer.

    Each prompt is returned with its training text. Returns an empty list if only a minority differs, since training
    texts may be varied on purpose.

    Raises:
        Unavailable: no prompt was observed whose training text contains its answer.
    """
    mismatched, seen = [], 0
    for text, prompt in pair_prompts(prompts, examples):
        if not text.is_answered:
            continue
        seen += 1
        length = len(prompt.ids)
        early = length < (text.first_label or 0) and not text.is_partial(length)
        if text.ids[:length] != prompt.ids or length > text.begin or early:
            mismatched.append((prompt.text, text.text))
    if not seen:
        raise Unavailable("no prompt could be compared with its training text")
    return mismatched if len(mismatched) > seen / 2 else []


def omitted_template(prompts: Prompts, examples: Examples) -> str:
    """Returns the part of the training text's template between prompt and number that the prompts omit.

    Empty if the prompts are no prefixes of their training texts, or if the omitted part contains no special token.
    """
    special = set(examples.tokenizer.special_ids)
    gaps = []
    for text, prompt in pair_prompts(prompts, examples):
        length = len(prompt.ids)
        if length and text.is_answered and text.ids[:length] == prompt.ids:
            is_special = special & set(text.ids[length : text.begin])
            gaps.append(text.decode(length, text.begin) if is_special else "")
    return gaps[0] if gaps and all(gaps) else ""


def unlabelled_lead(examples: Examples) -> list[TrainingText]:
    """Returns training texts with unlabelled tokens between the prompt that is sent and the first label.

    Empty if there are no such tokens, or if the prompt that is sent ends with a complete tag.

    Raises:
        Unavailable: none of the texts contains its answer, or begins with such a prompt.
    """
    length = examples.unlabelled_lead
    texts = [text for text in labelled_texts(examples) if text.first_label]
    if not length or not texts or not texts[0].is_partial((texts[0].first_label or 0) - length):
        return []
    texts = [text for text in texts if (text.first_label or 0) > length]
    if not texts:
        raise Unavailable("no text begins with the prompt that is sent")
    begin = texts[0].first_label or 0
    return texts if texts[0].decode(begin - length, begin).strip() else []


def labelled_texts(examples: Examples) -> list[TrainingText]:
    """Returns the training texts that contain their answer, if labels were observed.

    Raises:
        Unavailable: labels were not observed, or no text contains its answer.
    """
    if examples.labelled is False:
        raise Unavailable("its labels reach no call that the harness records")
    return answered_texts(examples)


def answered_texts(examples: Examples) -> list[TrainingText]:
    """Returns the training texts that contain their answer.

    Raises:
        Unavailable: no text contains its answer.
    """
    answered = [text for text in examples.texts if text.is_answered]
    if not answered:
        raise Unavailable("no training text holds its answer")
    return answered
