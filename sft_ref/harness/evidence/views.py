"""What shared checks read: small parts that every recorder can fill, whatever it observes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch

from sft_ref.harness.core.sizes import Size


@dataclass(frozen=True)
class MeasuredSize:
    """The size of an adapter.

    Attributes:
        size: projected onto the named model; None where it cannot be.
        unknown: why it cannot be.
        onto: the model that it is projected onto.
        example: the largest tensor, or the folder.
        whole_model: that the folder holds as much as a whole model, a clause; empty where it does not.
    """

    size: Size | None
    unknown: str = ""
    onto: str = ""
    example: str = ""
    whole_model: str = ""


@dataclass(frozen=True)
class BaseWeights:
    """What training did to the base's parameters.

    Attributes:
        changed: those that it changed; None where they were not compared.
        saved: names of all saved tensors.
        is_restored: whether the loaded model is the trained one all the same.
    """

    changed: tuple[str, ...] | None
    saved: frozenset[str]
    is_restored: bool = False


@dataclass(frozen=True)
class FolderDigests:
    """Digests of the files of the saved adapter, by name: when training ended, and after loading and answering."""

    before: Mapping[str, str]
    after: Mapping[str, str]


@dataclass(frozen=True)
class TensorValues:
    """How many numbers of a tensor are not finite, and the largest absolute value of the others."""

    nonfinite: int
    largest: float


@dataclass(frozen=True)
class SavedValues:
    """The tensors of the saved adapter, by name: their values, and their dtypes as safetensors names them."""

    tensors: Mapping[str, TensorValues]
    dtypes: Mapping[str, str]


@dataclass(frozen=True)
class ModelDtypes:
    """The dtypes of the model's tensors, by name.

    Attributes:
        trained: at the end of training.
        loaded: after loading, for each way to load; the ordinary way is the empty text.
    """

    trained: Mapping[str, str]
    loaded: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class LoadedLosses:
    """Losses of the same texts.

    Attributes:
        observed: by the loaded model.
        expected: by the trained adapter, which the reference puts onto the base.
        base: by the base.
        example: what else differs.
        is_survivable: whether good answers show that a difference loses nothing.
    """

    observed: torch.Tensor
    expected: torch.Tensor
    base: torch.Tensor
    example: str = ""
    is_survivable: bool = False


@dataclass(frozen=True)
class NonfiniteLogits:
    """Where logits of the loaded model are not finite.

    Attributes:
        found: where they have to be, as in "in float16"; empty where all of them are finite.
        example: what they are the logits of.
        elsewhere: other dtypes in which they are not.
    """

    found: str
    example: str
    elsewhere: str = ""


@dataclass(frozen=True)
class SavedTensors:
    """The tensors of the adapter, by name.

    Attributes:
        trained: in memory, at the end of training.
        saved: in the folder; empty where none can be read.
        is_as_good: whether the saved ones are known to answer no worse, as the best of several epochs.
        example: the folder.
        note: why there is nothing to compare; empty where there is.
    """

    trained: Mapping[str, torch.Tensor]
    saved: Mapping[str, torch.Tensor]
    is_as_good: bool = False
    example: str = ""
    note: str = ""


@dataclass(frozen=True)
class SavedConfiguration:
    """What decides how the adapter's tensors are applied, by name: at the end of training, and as it is saved.

    Attributes:
        missing: what of the training is unknown, so that it stands in neither; empty where nothing is.
    """

    trained: Mapping[str, object]
    saved: Mapping[str, object]
    example: str = ""
    missing: str = ""


@dataclass(frozen=True)
class LabelledRow:
    """A row of a training batch; `text` identifies it in a message."""

    ids: Sequence[int]
    labels: Sequence[int]
    text: str


@dataclass(frozen=True)
class AnswerText:
    """A training text, the answer that is due in it, and whether it is there."""

    text: str
    value: float | str
    is_answered: bool


@dataclass(frozen=True)
class AnswerTexts:
    """Training texts, and the share of fresh questions that are answered rightly; 0 where that is not known."""

    texts: Sequence[AnswerText]
    accuracy: float = 0.0


@dataclass(frozen=True)
class ChosenTokens:
    """The tokens that greedy generation chose.

    Attributes:
        unlikely: how many of them do not have the highest logit.
        count: how many there are.
        ties: the share of them that may be near ties, where logits were computed again.
        example: one that does not have the highest logit.
    """

    unlikely: int
    count: int
    ties: float = 0.0
    example: str = ""

    @property
    def are_sampled(self) -> bool:
        """Whether more of them are unlikely than ties explain."""
        return self.unlikely > self.ties * self.count


@dataclass(frozen=True)
class AnswerCount:
    """How many questions one call asks, and how many answers it gives."""

    asked: int
    given: int


@dataclass(frozen=True)
class ReturnedAnswer:
    """An answer that the model is made to write, and what comes of it.

    Attributes:
        answer: as it is written.
        asked: how many questions the same call asks.
        fault: what comes back in its place, in words; empty where nothing is wrong.
        is_cut: whether the model was stopped within the answer.
        share: of the data's answers, those that are as long.
    """

    question: str
    answer: str
    asked: int
    fault: str = ""
    is_cut: bool = False
    share: float = 1.0


@dataclass(frozen=True)
class ParsedText:
    """A text that reached the parser, and what came of it.

    Attributes:
        value: the answer that is returned.
        expected: the answer that the text holds, in words; empty where it holds none.
        is_right: whether the one is the other.
        question: what was asked.
    """

    text: str
    value: object
    expected: str = ""
    is_right: bool = False
    question: str = ""


@dataclass(frozen=True)
class ParsedTexts:
    """Texts that hold an answer.

    Attributes:
        lead: what the parser requires before the answer, though the prompt has consumed it; empty where it does not.
    """

    texts: Sequence[ParsedText]
    lead: str = ""


@dataclass(frozen=True)
class ReportedFigures:
    """The figures that testing reports of scripted answers, beside those counted from what it answered.

    Attributes:
        observed: each name with all figures that it reports of that name, the final ones last.
        expected: shares of right answers and of answers, by name: of all questions, then of each split.
        questions: how many there are.
    """

    observed: Mapping[str, Sequence[float]]
    expected: Sequence[Mapping[str, float]] = ()
    questions: int = 0


@dataclass(frozen=True)
class ToolUse:
    """What a chat template does to the schemas, calls and results of tools.

    Attributes:
        faults: a clause without its subject, as ``leaves out the result of a tool``, and the text that shows it; empty
            where the template has no word of tools, or refuses them.
        lists_results: whether a result in parts, ``[{"type": "text", "text": ...}]``, is printed as a Python list.
    """

    faults: tuple[tuple[str, str], ...] = ()
    lists_results: bool = False


@dataclass(frozen=True)
class ChatTemplate:
    """What a chat template does to conversations of its own, whatever the rows are.

    Attributes:
        rewritten: role and content that do not stand in the text as they are; None where all do.
        text: the text that lacks them.
        refusal: why the template writes none of these conversations, in the words of its error; empty where it does.
        keeps_system: whether a system prompt stands in the text; None where the template refuses one.
        begins: how often the text begins with the beginning-of-sequence token.
        begin_token: that token; empty where the tokenizer has none.
        changes_by: ``time`` where two texts of one day differ, ``day`` where those of two days do, ``unknown`` where
            the format of the time is computed; or empty.
        parts: role -> how its content in parts, ``[{"type": "text", "text": ...}]``, is written: as ``text``, as a
            ``list``, or ``lost``; without the roles for which the template refuses parts.
        rows_have_parts: whether the rows are written in parts.
        tools: what it does to tools.
    """

    rewritten: tuple[str, str] | None = None
    text: str = ""
    refusal: str = ""
    keeps_system: bool | None = None
    begins: int = 0
    begin_token: str = ""
    changes_by: Literal["", "time", "day", "unknown"] = ""
    parts: Mapping[str, Literal["text", "list", "lost"]] = field(default_factory=dict)
    rows_have_parts: bool = False
    tools: ToolUse = ToolUse()


@dataclass(frozen=True)
class StopContract:
    """The token that ends answers in training, and those at which generation stops.

    Attributes:
        wording: how training texts are written, in words.
        end: id of the token that ends an answer; None where the chat template writes none.
        configured: ids at which generation stops by the base's generation_config, or else by its config.
        own: id of the tokenizer's end of sequence.
        texts: id -> token, of all of them.
    """

    wording: str
    end: int | None
    configured: tuple[int, ...]
    own: int
    texts: Mapping[int, str]
