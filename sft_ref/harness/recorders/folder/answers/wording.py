"""Formats of questions and answer endings: by --prompt, by the rows themselves, or by a chat template.

Handles texts only; uses no token ids and no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sft_ref.errors import DataError, SubmissionError
from sft_ref.harness.evidence.answers import GIVEN, LITERAL, STRIPPED, TEMPLATE
from sft_ref.io.foreign import first_line
from sft_ref.io.reading import has_half_a_character, shortened
from sft_ref.io.rows.forms import ANSWER, QUESTION, Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class WordedText:
    """One training text.

    Attributes:
        prompt: text that is sent to obtain the answer.
        answer: true answer.
        closing: text that ends the answer, up to the first special token; empty if only the end of sequence does.
        complete: whether the text contains its special tokens, so that the tokenizer must add none.
        whole: the training text, with the end of sequence that trainers append where no chat template is used.
        answer_end: index in `whole` just after the answer; None if the answer is not found in it.
    """

    prompt: str
    answer: str
    closing: str
    complete: bool = False
    whole: str = ""
    answer_end: int | None = None


@dataclass(frozen=True)
class Wording:
    """Rows in one format, under a name that messages use."""

    name: str
    texts: tuple[WordedText, ...]


def check_prompt(prompt: str) -> None:
    """Refuses a --prompt without a definite position of question and answer.

    Raises:
        SubmissionError: one of them does not occur exactly once, or the answer comes first.
    """
    if has_half_a_character(prompt):
        raise SubmissionError(
            f"--prompt {shortened(prompt)!r} holds half a character (a lone surrogate); write it whole"
        )
    for mark in (QUESTION, ANSWER):
        if (count := prompt.count(mark)) != 1:
            raise SubmissionError(f"--prompt {prompt!r} holds {mark} {count} times; write it once")
    if prompt.index(QUESTION) > prompt.index(ANSWER):
        raise SubmissionError(f"--prompt {prompt!r} puts {ANSWER} before {QUESTION}; the answer comes last")


def as_given(prompt: str, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> Wording:
    """Formats rows by --prompt; other braces in it are plain text."""
    lead, _, after = prompt.partition(ANSWER)
    closing = _closing(after, tokenizer)
    complete = bool(tokenizer.bos_token) and lead.startswith(str(tokenizer.bos_token))
    texts = (
        _joined(WordedText(lead.replace(QUESTION, row.question), row.answer, closing, complete), after, tokenizer)
        for row in rows
    )
    return Wording(GIVEN, tuple(texts))


def as_literal(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> Wording | None:
    """Formats rows whose prompts are complete texts; None if some are not."""
    if not all(row.literal for row in rows):
        return None
    texts = (_joined(WordedText(row.question, row.answer, ""), "", tokenizer) for row in rows)
    return Wording(LITERAL, tuple(texts))


def _joined(text: WordedText, after: str, tokenizer: PreTrainedTokenizerBase) -> WordedText:
    """Returns the text with its training text: prompt, answer and the text after it, ended as TRL ends a text."""
    whole, end = text.prompt + text.answer + after, str(tokenizer.eos_token)
    whole = whole if whole.endswith(end) else whole + end
    return replace(text, whole=whole, answer_end=len(text.prompt) + len(text.answer))


def without_space(wording: Wording) -> Wording | None:
    """Moves the prompt's trailing spaces to the answer, as tokenizers join them; None if there are none."""
    texts = []
    for text in wording.texts:
        prompt = text.prompt.rstrip(" ")
        texts.append(replace(text, prompt=prompt, answer=text.prompt[len(prompt) :] + text.answer))
    return Wording(STRIPPED, tuple(texts)) if tuple(texts) != wording.texts else None


def as_template(template: str | None, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> Wording | None:
    """Formats rows by a chat template, up to and including the assistant's header; None if the template fails."""
    if not template:
        return None
    try:
        return by_template(template, rows, tokenizer)
    except DataError:
        return None


def by_template(template: str, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> Wording:
    """Formats rows by a chat template, up to and including the assistant's header.

    Raises:
        DataError: the template cannot format one of the rows.
    """
    texts = []
    for row in rows:
        try:
            texts.append(_render(template, row, tokenizer))
        except Exception as error:  # templates raise any exception, as for a system turn or two users in a row
            where = f"row {row.number}: " if row.number else ""
            raise DataError(
                f"{where}the chat template cannot write it ({first_line(error)}); give another template, or other rows"
            ) from error
    return Wording(TEMPLATE, tuple(texts))


def earlier_turns(template: str, row: Row, tokenizer: PreTrainedTokenizerBase) -> Iterator[tuple[str, str]]:
    """Yields, for each assistant turn before the answer, its prompt and the text through it, as if no turn followed."""
    messages = messages_of(row)
    for n, (role, _) in enumerate(row.messages):
        if role == "assistant" and n:
            prompt = _apply(template, messages[:n], tokenizer, header=True)
            yield prompt, _apply(template, messages[: n + 1], tokenizer, header=False)


def messages_of(row: Row, *, answer: bool = False) -> list[dict[str, str]]:
    """Returns the turns of a row in the form that chat templates take, with or without its answer."""
    found = [{"role": role, "content": content} for role, content in row.messages]
    return [*found, {"role": "assistant", "content": row.answer}] if answer else found


def _render(template: str, row: Row, tokenizer: PreTrainedTokenizerBase) -> WordedText:
    prompt = _apply(template, messages_of(row), tokenizer, header=True)
    whole = _apply(template, messages_of(row, answer=True), tokenizer, header=False)
    answer = row.answer if row.answer in whole else row.answer.strip()  # templates trim
    begin = whole.find(answer, len(prompt) if whole.startswith(prompt) else whole.rfind(row.question))
    end = begin + len(answer) if begin >= 0 else None
    closing = _closing("" if end is None else whole[end:], tokenizer)
    return WordedText(prompt, row.answer, closing, complete=True, whole=whole, answer_end=end)


def _apply(template: str, messages: list[dict[str, str]], tokenizer: PreTrainedTokenizerBase, *, header: bool) -> str:
    text = str(
        tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=header)
    )
    if has_half_a_character(text):
        raise ValueError("the template writes half a character")
    return text


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> set[str]:
    """Returns the texts of special tokens."""
    added = tokenizer.added_tokens_decoder.values()
    return {*map(str, tokenizer.all_special_tokens), *(token.content for token in added if token.special)} - {""}


def _closing(after: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """Returns the text that ends an answer, up to and including the first special token."""
    places = [(place, token) for token in special_tokens(tokenizer) if (place := after.find(token)) >= 0]
    if not places:
        return after.rstrip()
    place, token = min(places, key=lambda each: (each[0], -len(each[1])))
    return after[:place] + token


def missing_header(given: WordedText, template: WordedText, question: str) -> str:
    """Returns the end of the template's prompt that the given prompt lacks; empty if both end alike."""
    sent, due = (text.prompt.rpartition(question)[2] for text in (given, template))
    if question not in given.prompt or question not in template.prompt or not due.startswith(sent.rstrip()):
        return ""
    return due[len(sent.rstrip()) :].strip()


def difference(given: str, template: str) -> str:
    """Describes in one clause where a prompt and the template's diverge."""
    place = next((n for n, (a, b) in enumerate(zip(given, template, strict=False)) if a != b), None)
    if place is None:
        place = min(len(given), len(template))
    before = given[max(0, place - 24) : place]
    own, due = _some(given[place:]), _some(template[place:])
    return f"after {before!r} the prompt continues with {own}, the chat template with {due}"


def _some(text: str) -> str:
    return repr(text[:60]) if text else "the answer"
