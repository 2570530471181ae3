"""How a question is put and what ends its answer: as --prompt says, as the rows do, or as a chat template does.

Texts only; knows no token ids and no model.
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
        prompt: what is sent to get the answer.
        answer: the true one.
        closing: what ends it, up to the first special token; empty where the end of sequence alone does.
        complete: whether the text holds its special tokens, so that the tokenizer must add none.
        whole: the training text, with the end of sequence that trainers append where no chat template is used.
        answer_end: index in `whole` of what stands behind the answer; None where the answer is not found in it.
    """

    prompt: str
    answer: str
    closing: str
    complete: bool = False
    whole: str = ""
    answer_end: int | None = None


@dataclass(frozen=True)
class Wording:
    """A way to write rows, under a name that messages use."""

    name: str
    texts: tuple[WordedText, ...]


def check_prompt(prompt: str) -> None:
    """Refuses a text of --prompt that does not say where question and answer stand.

    Raises:
        SubmissionError: one of them does not occur exactly once, or the answer stands first.
    """
    if has_half_a_character(prompt):
        raise SubmissionError(
            f"--prompt {shortened(prompt)!r} holds half a character (a lone surrogate); write it whole"
        )
    for mark in (QUESTION, ANSWER):
        if (count := prompt.count(mark)) != 1:
            raise SubmissionError(f"--prompt {prompt!r} holds {mark} {count} times; write it once, where it stands")
    if prompt.index(QUESTION) > prompt.index(ANSWER):
        raise SubmissionError(f"--prompt {prompt!r} puts {ANSWER} before {QUESTION}; the answer comes last")


def as_given(prompt: str, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> Wording:
    """Rows as --prompt writes them; braces elsewhere in it are text."""
    lead, _, after = prompt.partition(ANSWER)
    closing = _closing(after, tokenizer)
    complete = bool(tokenizer.bos_token) and lead.startswith(str(tokenizer.bos_token))
    texts = (
        _joined(WordedText(lead.replace(QUESTION, row.question), row.answer, closing, complete), after, tokenizer)
        for row in rows
    )
    return Wording(GIVEN, tuple(texts))


def as_literal(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> Wording | None:
    """Rows whose prompts are whole texts; None where some are not."""
    if not all(row.literal for row in rows):
        return None
    texts = (_joined(WordedText(row.question, row.answer, ""), "", tokenizer) for row in rows)
    return Wording(LITERAL, tuple(texts))


def _joined(text: WordedText, after: str, tokenizer: PreTrainedTokenizerBase) -> WordedText:
    """With its training text: prompt, answer and what stands behind it, ended as TRL ends a text."""
    whole, end = text.prompt + text.answer + after, str(tokenizer.eos_token)
    whole = whole if whole.endswith(end) else whole + end
    return replace(text, whole=whole, answer_end=len(text.prompt) + len(text.answer))


def without_space(wording: Wording) -> Wording | None:
    """The same texts with the prompt's last space moved to the answer, as tokenizers join them; None without one."""
    texts = []
    for text in wording.texts:
        prompt = text.prompt.rstrip(" ")
        texts.append(replace(text, prompt=prompt, answer=text.prompt[len(prompt) :] + text.answer))
    return Wording(STRIPPED, tuple(texts)) if tuple(texts) != wording.texts else None


def as_template(template: str | None, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> Wording | None:
    """Rows as a chat template writes them, up to and with the assistant's header; None where it cannot."""
    if not template:
        return None
    try:
        return by_template(template, rows, tokenizer)
    except DataError:
        return None


def by_template(template: str, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> Wording:
    """Rows as a chat template writes them, up to and with the assistant's header.

    Raises:
        DataError: it cannot write one of them.
    """
    texts = []
    for row in rows:
        try:
            texts.append(_render(template, row, tokenizer))
        except Exception as error:  # templates raise what they like, as for a system turn or two users in a row
            where = f"row {row.number}: " if row.number else ""
            raise DataError(
                f"{where}the chat template cannot write it ({first_line(error)}); give another template, or other rows"
            ) from error
    return Wording(TEMPLATE, tuple(texts))


def earlier_turns(template: str, row: Row, tokenizer: PreTrainedTokenizerBase) -> Iterator[tuple[str, str]]:
    """Of each assistant turn before the answer: its prompt, and the text up to it, as if no turn followed."""
    messages = messages_of(row)
    for n, (role, _) in enumerate(row.messages):
        if role == "assistant" and n:
            prompt = _apply(template, messages[:n], tokenizer, header=True)
            yield prompt, _apply(template, messages[: n + 1], tokenizer, header=False)


def messages_of(row: Row, *, answer: bool = False) -> list[dict[str, str]]:
    """The turns of a row as chat templates take them, with its answer or without."""
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
    """The texts of tokens that are no words."""
    added = tokenizer.added_tokens_decoder.values()
    return {*map(str, tokenizer.all_special_tokens), *(token.content for token in added if token.special)} - {""}


def _closing(after: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """What ends an answer: the text behind it, up to and with the first special token."""
    places = [(place, token) for token in special_tokens(tokenizer) if (place := after.find(token)) >= 0]
    if not places:
        return after.rstrip()
    place, token = min(places, key=lambda each: (each[0], -len(each[1])))
    return after[:place] + token


def missing_header(given: WordedText, template: WordedText, question: str) -> str:
    """What the template puts last before an answer and the given prompt leaves out; empty where they end alike."""
    sent, due = (text.prompt.rpartition(question)[2] for text in (given, template))
    if question not in given.prompt or question not in template.prompt or not due.startswith(sent.rstrip()):
        return ""
    return due[len(sent.rstrip()) :].strip()


def difference(given: str, template: str) -> str:
    """Where a prompt and the template's part, in one clause."""
    place = next((n for n, (a, b) in enumerate(zip(given, template, strict=False)) if a != b), None)
    if place is None:
        place = min(len(given), len(template))
    before = given[max(0, place - 24) : place]
    own, due = _some(given[place:]), _some(template[place:])
    return f"after {before!r} the prompt goes on with {own}, the chat template with {due}"


def _some(text: str) -> str:
    return repr(text[:60]) if text else "the answer"
