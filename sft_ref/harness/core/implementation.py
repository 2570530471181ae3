"""The protocol of an implementation: the stages that checks may call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from sft_ref.reference.data import Score
from sft_ref.reference.guards.dtypes import Dtypes
from sft_ref.reference.guards.names import unwrapped
from sft_ref.reference.settings import Settings

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

TaskRow = tuple[str, Any]
"""A question and its answer: a number or a text, of all rows the same."""


@dataclass(frozen=True)
class Batch:
    """The inputs of the model's forward in training, each int64 of shape (rows, tokens)."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training. What is left out makes the checks that need it *skipped*; they say what to give.

    Names may come from a model that is wrapped, as by torch.compile; such wrapping is taken out of them.

    Attributes:
        folder: the adapter folder.
        adapter: tensors in memory at the end of training, by their names in the file.
        losses: as the implementation reports them, one per optimizer step, in nat.
        settings: the settings of the training, if they differ from the requested ones.
        scalings: factor on B @ A at the end of training, by module; empty if only the file tells it.
        starts: what the initialisation of the adapter took from each module's weight of the base and put into the
            adapter, as PiSSA does, by module; None if only the configuration in the folder tells it.
        changed: parameters outside the adapter that training changed, by their names in the base; None if they were
            not compared.
        dtypes: of the model in memory at the end of training, as `sft_ref.reference.precision.count_dtypes` returns.
        logits: of that model for the batch of `task.PROBES`; None if they are not available. With rows of one's own
            they count for nothing: give `forward`.
        forward: computes the logits of that model for a batch; called once, when `train` has returned.
        label_smoothing: of the minimised cross-entropy; None if another loss is minimised.
    """

    folder: Path
    adapter: dict[str, torch.Tensor]
    losses: tuple[float, ...]
    settings: Settings | None = None
    scalings: Mapping[str, float] = field(default_factory=dict)
    starts: Mapping[str, torch.Tensor] | None = None
    changed: tuple[str, ...] | None = None
    dtypes: Dtypes = field(default_factory=dict)
    logits: torch.Tensor | None = None
    forward: Callable[[Batch], torch.Tensor] | None = None
    label_smoothing: float | None = 0.0

    def __post_init__(self) -> None:
        for field_name in ("adapter", "scalings", "starts"):
            named = getattr(self, field_name)
            if named is not None:
                object.__setattr__(self, field_name, {unwrapped(name): value for name, value in named.items()})
        if self.changed is not None:
            object.__setattr__(self, "changed", tuple(map(unwrapped, self.changed)))
        dtypes = {
            kind: {unwrapped(name): dtype for name, dtype in names.items()} for kind, names in self.dtypes.items()
        }
        object.__setattr__(self, "dtypes", dtypes)


class Answerer(Protocol):
    """The return value of `load`: a model that answers questions, such as `BaseLLM`."""

    model: Any
    tokenizer: PreTrainedTokenizerBase

    def format_prompt(self, question: str) -> str:
        """Question to prompt."""
        ...

    def batched_generate(
        self, prompts: Sequence[str], num_return_sequences: int | None = None, temperature: float = 0
    ) -> list[Any]:
        """Prompts to completions."""
        ...

    def parse_answer(self, text: str) -> Any:  # noqa: ANN401
        """Completion to answer: a number, or a text where the answers of the rows are texts."""
        ...

    def answer(self, *questions: str) -> list[Any]:
        """Questions to answers: all stages from prompt to parse."""
        ...


class Implementation(Protocol):
    """A supervised fine-tuning: from rows to an adapter, to a model that answers, to a score.

    Attributes:
        name: shown in results.
        base: name of the base model, as `sft_ref.reference.models.find_base` takes it.
        claims_contract: whether all contract checks apply to it.

    An implementation may also have `claims`, names of parts of the contract that apply to it (`CLAIMS`), and
    `stands_for`: the base that the toy replaces, for size limits. Where `test` is missing, its checks are skipped.
    """

    name: str
    base: str
    claims_contract: bool

    def training_batch(self, rows: Sequence[TaskRow]) -> Batch:
        """The training batch of these rows, in their order."""
        ...

    def train(self, folder: Path, rows: Sequence[TaskRow], settings: Settings) -> TrainingResult:
        """Fine-tunes and saves to the folder."""
        ...

    def load(self, folder: Path) -> Answerer:
        """Loads the adapter that `train` saved."""
        ...

    def test(self, answerer: Answerer, rows: Sequence[TaskRow]) -> Score:
        """The score that the implementation itself reports."""
        ...


@runtime_checkable
class Gradients(Protocol):
    """A capability: the gradients of one optimizer step."""

    def gradients(self, rows: Sequence[TaskRow], *, micro_batches: int, checkpointing: bool) -> dict[str, torch.Tensor]:
        """Gradients of an adapter that is not zero, in fp32, for one step over all rows.

        The adapter is the same in every call. The rows are split into equal micro-batches whose gradients accumulate;
        `checkpointing` recomputes activations in the backward pass, as training does.
        """
        ...


@runtime_checkable
class Trainables(Protocol):
    """A capability: the trainable tensors under a policy, even if this machine cannot train under it."""

    def trainables(self, policy: str) -> dict[str, torch.dtype]:
        """The dtype of every tensor that the optimizer gets."""
        ...


@runtime_checkable
class Resumable(Protocol):
    """A capability: a training that resumes after an interruption."""

    def train_interrupted(
        self, folder: Path, rows: Sequence[TaskRow], settings: Settings, *, after: int
    ) -> TrainingResult:
        """Trains as `Implementation.train`, is interrupted after this many optimizer steps, and resumes.

        Raises:
            Unavailable: this training cannot be resumed; the message says why.
        """
        ...
