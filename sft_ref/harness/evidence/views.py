"""The evidence that shared checks read: small parts that every recorder can fill."""

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
        size: the size projected onto the named model; None if it cannot be projected.
        unknown: why the size cannot be projected.
        onto: name of the model that the size is projected onto.
        example: name of the largest tensor, or of the folder.
        whole_model: a clause that says that the folder is as large as a whole model; empty if it is not.
    """

    size: Size | None
    unknown: str = ""
    onto: str = ""
    example: str = ""
    whole_model: str = ""


@dataclass(frozen=True)
class BaseWeights:
    """The base model's parameters that training changed.

    Attributes:
        changed: names of the changed parameters; None if they were not compared.
        saved: names of all saved tensors.
        is_restored: whether the loaded model equals the trained one despite these changes.
    """

    changed: tuple[str, ...] | None
    saved: frozenset[str]
    is_restored: bool = False


@dataclass(frozen=True)
class FolderDigests:
    """Digests of the saved adapter's files, by name: at the end of training, and after loading and answering."""

    before: Mapping[str, str]
    after: Mapping[str, str]


@dataclass(frozen=True)
class TensorValues:
    """The number of non-finite values of a tensor, and the largest absolute value of the others."""

    nonfinite: int
    largest: float


@dataclass(frozen=True)
class SavedValues:
    """The values and the safetensors dtypes of the saved adapter's tensors, by name."""

    tensors: Mapping[str, TensorValues]
    dtypes: Mapping[str, str]


@dataclass(frozen=True)
class ModelDtypes:
    """The dtypes of the model's tensors, by name.

    Attributes:
        trained: dtypes at the end of training.
        loaded: dtypes after loading, for each way to load; the key of the default way is the empty text.
    """

    trained: Mapping[str, str]
    loaded: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class LoadedLosses:
    """Losses of the same texts by three models.

    Attributes:
        observed: losses of the loaded model.
        expected: losses of the trained adapter, which the reference applies to the base model.
        base: losses of the base model.
        example: description of another difference.
        is_survivable: whether good answers show that a difference does no harm.
    """

    observed: torch.Tensor
    expected: torch.Tensor
    base: torch.Tensor
    example: str = ""
    is_survivable: bool = False


@dataclass(frozen=True)
class NonfiniteLogits:
    """The logits of the loaded model that are not finite.

    Attributes:
        found: a phrase for where they are not finite but have to be, such as "in float16"; empty if there are none.
        example: description of the input.
        elsewhere: other dtypes in which they are not finite.
    """

    found: str
    example: str
    elsewhere: str = ""


@dataclass(frozen=True)
class SavedTensors:
    """The trained and the saved tensors of the adapter, by name.

    Attributes:
        trained: tensors in memory at the end of training.
        saved: tensors in the folder; empty if none can be read.
        is_as_good: whether the saved tensors are known to answer no worse, such as those of the best of several epochs.
        example: name of the folder.
        note: why there is nothing to compare; empty if there is.
    """

    trained: Mapping[str, torch.Tensor]
    saved: Mapping[str, torch.Tensor]
    is_as_good: bool = False
    example: str = ""
    note: str = ""


@dataclass(frozen=True)
class SavedConfiguration:
    """The settings that determine how the adapter's tensors are applied, by name, as trained and as saved.

    Attributes:
        missing: description of the settings that are unknown after training, and therefore in neither; empty if there
            are none.
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
    """A training text, its expected answer, and whether the text contains it."""

    text: str
    value: float | str
    is_answered: bool


@dataclass(frozen=True)
class AnswerTexts:
    """Training texts, and the share of fresh questions that are answered correctly; 0 if unknown."""

    texts: Sequence[AnswerText]
    accuracy: float = 0.0


@dataclass(frozen=True)
class ChosenTokens:
    """The tokens chosen by greedy generation.

    Attributes:
        unlikely: number of tokens that do not have the highest logit.
        count: number of tokens.
        ties: maximum share of tokens that may be near ties, if the logits were recomputed.
        example: a token that does not have the highest logit.
    """

    unlikely: int
    count: int
    ties: float = 0.0
    example: str = ""

    @property
    def are_sampled(self) -> bool:
        """Whether more tokens are unlikely than ties explain."""
        return self.unlikely > self.ties * self.count


@dataclass(frozen=True)
class AnswerCount:
    """The number of questions in one call, and the number of answers that it returns."""

    asked: int
    given: int


@dataclass(frozen=True)
class ReturnedAnswer:
    """An answer that the model is forced to write, and what is returned for it.

    Attributes:
        answer: the answer as the model writes it.
        asked: number of questions in the same call.
        fault: description of what is returned instead; empty if nothing is wrong.
        is_cut: whether generation was stopped within the answer.
        share: share of the data's answers that are at least as long.
    """

    question: str
    answer: str
    asked: int
    fault: str = ""
    is_cut: bool = False
    share: float = 1.0


@dataclass(frozen=True)
class ParsedText:
    """A text that reached the parser, and the value returned for it.

    Attributes:
        value: the returned answer.
        expected: the answer that the text contains, as text; empty if it contains none.
        is_right: whether the returned answer is the expected one.
        question: the question that was asked.
    """

    text: str
    value: object
    expected: str = ""
    is_right: bool = False
    question: str = ""


@dataclass(frozen=True)
class ParsedTexts:
    """Texts that contain an answer.

    Attributes:
        lead: text that the parser requires before the answer although the prompt already contains it; empty if there is
            none.
    """

    texts: Sequence[ParsedText]
    lead: str = ""


@dataclass(frozen=True)
class ReportedFigures:
    """The figures that testing reports for scripted answers, and those counted from the answers given.

    Attributes:
        observed: maps each name to all figures reported under it, the final ones last.
        expected: shares of right answers and of answers, by name: for all questions, then for each split.
        questions: number of questions.
    """

    observed: Mapping[str, Sequence[float]]
    expected: Sequence[Mapping[str, float]] = ()
    questions: int = 0


@dataclass(frozen=True)
class ToolUse:
    """How a chat template renders the schemas, calls and results of tools.

    Attributes:
        faults: a clause without its subject, such as ``leaves out the result of a tool``, and the text that shows it;
            empty if the template does not mention tools, or refuses them.
        lists_results: whether a result in parts, ``[{"type": "text", "text": ...}]``, is printed as a Python list.
    """

    faults: tuple[tuple[str, str], ...] = ()
    lists_results: bool = False


@dataclass(frozen=True)
class ChatTemplate:
    """How a chat template renders fixed test conversations, independent of the rows.

    Attributes:
        rewritten: role and content that are not rendered unchanged; None if all are.
        text: the rendered text that lacks them.
        refusal: the template's error message if it renders none of these conversations; else empty.
        keeps_system: whether a system prompt is rendered; None if the template refuses one.
        begins: number of beginning-of-sequence tokens at the beginning of the text.
        begin_token: the beginning-of-sequence token; empty if the tokenizer has none.
        changes_by: ``time`` if two texts of one day differ, ``day`` if those of two days differ, ``unknown`` if the
            format of the time is computed, else empty.
        parts: maps each role to how its content in parts, ``[{"type": "text", "text": ...}]``, is rendered: as
            ``text``, as a ``list``, or ``lost``; without the roles for which the template refuses parts.
        rows_have_parts: whether the rows are written in parts.
        tools: how it renders tools.
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
    """The token that ends answers in training, and the tokens that stop generation.

    Attributes:
        wording: description of how training texts are formatted.
        end: id of the token that ends an answer; None if the chat template has none.
        configured: ids that stop generation according to the base model's generation_config, or else its config.
        own: id of the tokenizer's end-of-sequence token.
        texts: maps all these ids to their tokens.
    """

    wording: str
    end: int | None
    configured: tuple[int, ...]
    own: int
    texts: Mapping[int, str]
