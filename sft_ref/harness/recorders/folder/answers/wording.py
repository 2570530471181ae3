"""How a question is put and what ends its answer: as --prompt says, as the rows do, or as a chat template does.

Texts only; knows no token ids and no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sft_ref.errors import SubmissionError
from sft_ref.harness.evidence.answers import GIVEN, LITERAL, STRIPPED, TEMPLATE
from sft_ref.io.reading import has_half_a_character, shortened

from .rows import Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_QUESTION, _ANSWER = "{question}", "{answer}"


@dataclass(frozen=True)
class WordedText:
    """One training text.

    Attributes:
        prompt: what stands before the answer.
        answer: the true one.
        closing: what ends it, up to the first special token; empty where the end of sequence alone does.
        complete: whether the text holds its special tokens, so that the tokenizer must add none.
    """

    prompt: str
    answer: str
    closing: str
    complete: bool = False


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
    for mark in (_QUESTION, _ANSWER):
        if (count := prompt.count(mark)) != 1:
            raise SubmissionError(f"--prompt {prompt!r} holds {mark} {count} times; write it once, where it stands")
    if prompt.index(_QUESTION) > prompt.index(_ANSWER):
        raise SubmissionError(f"--prompt {prompt!r} puts {_ANSWER} before {_QUESTION}; the answer comes last")


def as_given(prompt: str, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> Wording:
    """Rows as --prompt writes them; braces elsewhere in it are text."""
    lead, _, after = prompt.partition(_ANSWER)
    closing = _closing(after, tokenizer)
    complete = bool(tokenizer.bos_token) and lead.startswith(str(tokenizer.bos_token))
    texts = (WordedText(lead.replace(_QUESTION, row.question), row.answer, closing, complete) for row in rows)
    return Wording(GIVEN, tuple(texts))


def as_literal(rows: Sequence[Row]) -> Wording | None:
    """Rows whose prompts are whole texts; None where some are not."""
    if not all(row.literal for row in rows):
        return None
    return Wording(LITERAL, tuple(WordedText(row.question, row.answer, "") for row in rows))


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
        return Wording(TEMPLATE, tuple(_render(template, row, tokenizer) for row in rows))
    except Exception:  # noqa: BLE001  # templates raise what they like, as for a system turn or two users in a row
        return None


def _render(template: str, row: Row, tokenizer: PreTrainedTokenizerBase) -> WordedText:
    messages = [{"role": role, "content": content} for role, content in row.messages]
    prompt = _apply(template, messages, tokenizer, header=True)
    whole = _apply(template, [*messages, {"role": "assistant", "content": row.answer}], tokenizer, header=False)
    begin = whole.find(row.answer, len(prompt) if whole.startswith(prompt) else whole.rfind(row.question))
    after = whole[begin + len(row.answer) :] if begin >= 0 else ""
    return WordedText(prompt, row.answer, _closing(after, tokenizer), complete=True)


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
