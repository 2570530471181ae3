"""Evidence about a dataset with a base model's tokenizer: a few numbers for each row, no token ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sft_ref.harness.core.findings import Unavailable
from sft_ref.harness.evidence.views import ChatTemplate, StopContract

Labels = Literal["completion", "assistant", "all", "collator", "given"]
"""The tokens that are supervised.

completion: the tokens after the prompt, as in TRL for prompts with completions (completion_only_loss).
assistant: the tokens that the chat template marks as the assistant's (assistant_only_loss in TRL).
all: every token, as in TRL for messages and texts.
given: the labels in the file, if its rows are tokenized.
collator: every token except those with the padding id, as in DataCollatorForLanguageModeling of transformers.
"""


@dataclass(frozen=True)
class Parting:
    """The first difference between the prompt that is sent and the training text.

    Attributes:
        index: index of the first token that differs.
        length: number of tokens in the prompt.
        prompt: the prompt's text from that token on; empty if the prompt has ended.
        text: the training text from that token on; empty if it has ended.
        pattern: "joined": the texts agree, but are tokenized differently where the answer begins. "ended": the
            tokenizer appends its end token to the prompt. "other": the texts differ.
    """

    index: int
    length: int
    prompt: str
    text: str
    pattern: Literal["joined", "ended", "other"]

    @property
    def reason(self) -> str:
        """A clause that says why they differ."""
        if self.pattern == "joined":
            return f"the tokenizer joins the end of the prompt, {self.prompt!r}, with the answer: {self.text!r}"
        if self.pattern == "ended":
            return (
                f"the tokenizer appends {self.prompt!r} to the prompt, and the training text continues with"
                f" {self.text!r}"
            )
        sent, due = (repr(each) if each else "nothing" for each in (self.prompt, self.text))
        return f"the prompt continues with {sent}, the training text with {due}"

    @property
    def remedy(self) -> str:
        """A clause that says how to fix it."""
        if self.pattern == "joined":
            return "end the prompt before the space or word that the answer continues"
        if self.pattern == "ended":
            return "tokenize the prompt without the end token (add_eos_token=False)"
        return "send the training text up to the answer, or train on the text that is sent"


@dataclass(frozen=True)
class DatasetRow:
    """One row, as a trainer would format and label it.

    Attributes:
        number: row number in the file, from 1.
        tokens: number of tokens in the training text, before truncation.
        has_prompt: whether the row says where its answer begins.
        parting: the first difference between prompt and training text; None if the prompt is a prefix, or if there is
            no prompt.
        supervised: number of tokens with a label, after truncation.
        end: the token that ends the answer; empty if none does. None if that is unknown, because the template changes
            the answer or the tokenizer provides no offsets.
        is_end_supervised: whether that token has a label before truncation.
        is_cut: whether truncation removes tokens of the answer, or its end.
        is_empty: whether the answer is empty.
        earlier_turns: number of supervised answers before the last one.
        differing_turns: number of those whose prompt, or whose text up to their end, is formatted differently in the
            training text than when no turn follows.
    """

    number: int
    tokens: int
    has_prompt: bool
    parting: Parting | None = None
    supervised: int = 0
    end: str | None = None
    is_end_supervised: bool = False
    is_cut: bool = False
    is_empty: bool = False
    earlier_turns: int = 0
    differing_turns: int = 0


@dataclass(frozen=True)
class DatasetEvidence:
    """Recorded evidence about one dataset with a base model's tokenizer.

    Attributes:
        name: name of the file.
        base: name of the base model.
        wording: a description of how texts are formatted.
        labels: the tokens that are supervised.
        max_length: number of tokens that truncation keeps; None if nothing is truncated.
        total: number of rows in the file.
        rows: the rows that were examined.
        end_token: the tokenizer's end-of-sequence token.
        padding: the padding token.
        marks_assistant: whether the chat template marks the assistant's tokens.
        ending: the stop contract; None if no row says where its answer begins.
        template: how the chat template renders conversations; None if the texts use none.
    """

    name: str
    base: str
    wording: str
    labels: Labels
    max_length: int | None
    total: int
    rows: tuple[DatasetRow, ...]
    end_token: str
    padding: str
    marks_assistant: bool
    ending: StopContract | None = None
    template: ChatTemplate | None = None

    @property
    def chat_template(self) -> ChatTemplate:
        """The observed behaviour of the chat template that formats the texts.

        Raises:
            Unavailable: no chat template formats the texts.
        """
        if self.template is None:
            raise Unavailable("the texts are not formatted by a chat template")
        return self.template

    @property
    def stop_contract(self) -> StopContract:
        """The token that ends answers in training, and the tokens that stop generation.

        Raises:
            Unavailable: no row says where its answer begins.
        """
        if self.ending is None:
            raise Unavailable("the rows are texts that do not mark where their answers begin")
        return self.ending
