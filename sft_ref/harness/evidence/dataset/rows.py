"""One data set over a base: a few numbers for each row, no ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sft_ref.harness.core.findings import Unavailable
from sft_ref.harness.evidence.views import ChatTemplate, StopContract

Labels = Literal["completion", "assistant", "all", "collator", "given"]
"""Which tokens are supervised.

completion: those behind the prompt, as TRL does for prompts with completions (completion_only_loss).
assistant: those that the chat template marks as the assistant's (assistant_only_loss of TRL).
all: every token, as TRL does for messages and texts.
given: as the file has them, where its rows are tokenized.
collator: every token but those with the id of padding, as DataCollatorForLanguageModeling of transformers does.
"""


@dataclass(frozen=True)
class Parting:
    """Where the prompt that is sent leaves the training text.

    Attributes:
        index: of the first token that differs.
        length: tokens of the prompt.
        prompt: what the prompt has from there on; empty where it has ended.
        text: what the training text has from there on; empty where it has ended.
        pattern: "joined": the texts agree, but the tokenizer makes other tokens of them where the answer begins.
            "ended": the tokenizer appends its end token to the prompt. "other": the texts differ.
    """

    index: int
    length: int
    prompt: str
    text: str
    pattern: Literal["joined", "ended", "other"]

    @property
    def reason(self) -> str:
        """Why they part, in one clause."""
        if self.pattern == "joined":
            return f"the tokenizer joins the end of the prompt, {self.prompt!r}, with the answer: {self.text!r}"
        if self.pattern == "ended":
            return (
                f"the tokenizer appends {self.prompt!r} to the prompt, and the training text goes on with {self.text!r}"
            )
        sent, due = (repr(each) if each else "nothing" for each in (self.prompt, self.text))
        return f"the prompt goes on with {sent}, the training text with {due}"

    @property
    def remedy(self) -> str:
        """What to do, in one clause."""
        if self.pattern == "joined":
            return "end the prompt before the space or word that the answer continues"
        if self.pattern == "ended":
            return "tokenize the prompt without the end token (add_eos_token=False)"
        return "send the training text up to the answer, or train on the text that is sent"


@dataclass(frozen=True)
class DatasetRow:
    """One row, as a trainer would write and label it.

    Attributes:
        number: of the row in its file, from 1.
        tokens: of the training text, before it is truncated.
        has_prompt: whether the row says where its answer begins.
        parting: where the prompt leaves the training text; None where it is a prefix, or where there is no prompt.
        supervised: tokens with a label, in what truncation leaves.
        end: the token that ends the answer; empty where none does. None where that cannot be told: the template changes
            the answer, or the tokenizer gives no offsets.
        is_end_supervised: whether it carries a label before truncation.
        is_cut: whether truncation removes tokens of the answer, or its end.
        is_empty: whether the answer is empty.
        earlier_turns: supervised answers before the last one.
        differing_turns: those of them whose prompt, or whose text up to their end, is not written in the training text
            as it is when no turn follows.
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
    """One data set over a base.

    Attributes:
        name: of the file.
        base: name of the base.
        wording: how texts are written, in words.
        labels: which tokens are supervised.
        max_length: tokens that truncation leaves; None where nothing is truncated.
        total: rows in the file.
        rows: those that were looked at.
        end_token: the tokenizer's end of sequence.
        padding: the token that fills rows up.
        marks_assistant: whether the chat template marks what the assistant writes.
        ending: the stop contract; None where no row says where its answer begins.
        template: what the chat template does that writes the texts; None where none does.
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
        """What the chat template does that writes the texts.

        Raises:
            Unavailable: none does.
        """
        if self.template is None:
            raise Unavailable("no chat template writes the texts")
        return self.template

    @property
    def stop_contract(self) -> StopContract:
        """Where generation stops, and where answers end.

        Raises:
            Unavailable: no row says where its answer begins.
        """
        if self.ending is None:
            raise Unavailable("the rows are texts that do not say where their answers begin")
        return self.ending
