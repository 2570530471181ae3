"""Protocol of an implementation: the stages that checks may call."""

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
"""A question and its answer, a number or a string; all rows have the same type of answer."""


@dataclass(frozen=True)
class Batch:
    """The inputs of the model's forward pass in training, each int64 of shape (rows, tokens)."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training. Checks that need an omitted field are *skipped*, and name the field to supply.

    Names may come from a wrapped model, for example by torch.compile; the wrapper's prefixes are removed.

    Attributes:
        folder: the adapter folder.
        adapter: name in the adapter file -> tensor in memory at the end of training.
        losses: losses reported by the implementation, one per optimizer step, in nat.
        settings: the settings of the training, if they differ from the requested ones.
        scalings: module -> factor on B @ A at the end of training; empty if only the adapter file records it.
        starts: module -> the part of the base weight that the adapter's initialisation moved into the adapter, as PiSSA
            does; None if only the configuration in the folder records it.
        changed: names, in the base, of parameters outside the adapter that training changed; None if they were not
            compared.
        dtypes: dtypes of the model in memory at the end of training, as returned by
            `sft_ref.reference.guards.dtypes.count_dtypes`.
        logits: logits of that model for the batch of `task.PROBES`; None if they are not available. They are ignored
            if the user supplies the rows; set `forward` instead.
        forward: function that computes the logits of that model for a batch; called once, after `train` has returned.
        label_smoothing: label smoothing of the minimised cross-entropy; None if another loss is minimised.
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
        """Converts a question to a prompt."""
        ...

    def batched_generate(
        self, prompts: Sequence[str], num_return_sequences: int | None = None, temperature: float = 0
    ) -> list[Any]:
        """Generates completions for prompts."""
        ...

    def parse_answer(self, text: str) -> Any:  # noqa: ANN401
        """Parses a completion into an answer: a number, or a string if the answers of the rows are strings."""
        ...

    def answer(self, *questions: str) -> list[Any]:
        """Answers questions; runs all stages from prompt to parse."""
        ...


class Implementation(Protocol):
    """A supervised fine-tuning: from rows to an adapter, to a model that answers, to a score.

    Attributes:
        name: name shown in results.
        base: name of the base model, as accepted by `sft_ref.reference.bases.find.find_base`.
        claims_contract: whether all contract checks apply to the implementation.

    An implementation may also have `claims`, the names of the parts of the contract that apply to it (`CLAIMS`), and
    `stands_for`, the base model that the toy replaces, for size limits. Without `test`, the checks of `test` are
    skipped.
    """

    name: str
    base: str
    claims_contract: bool

    def training_batch(self, rows: Sequence[TaskRow]) -> Batch:
        """Builds the training batch of these rows, in their order."""
        ...

    def train(self, folder: Path, rows: Sequence[TaskRow], settings: Settings) -> TrainingResult:
        """Fine-tunes on the rows, and saves the adapter to the folder."""
        ...

    def load(self, folder: Path) -> Answerer:
        """Loads the adapter that `train` saved."""
        ...

    def test(self, answerer: Answerer, rows: Sequence[TaskRow]) -> Score:
        """Returns the score that the implementation itself reports."""
        ...


@runtime_checkable
class Gradients(Protocol):
    """Optional capability: the gradients of one optimizer step."""

    def gradients(self, rows: Sequence[TaskRow], *, micro_batches: int, checkpointing: bool) -> dict[str, torch.Tensor]:
        """Returns the gradients of a nonzero adapter, in fp32, for one step over all rows.

        The adapter is the same in every call. The rows are split into equal micro-batches whose gradients accumulate;
        `checkpointing` recomputes activations in the backward pass, as training does.
        """
        ...


@runtime_checkable
class Trainables(Protocol):
    """Optional capability: the trainable tensors under a policy, even if this machine cannot train under it."""

    def trainables(self, policy: str) -> dict[str, torch.dtype]:
        """Returns the dtype of every tensor passed to the optimizer."""
        ...


@runtime_checkable
class Resumable(Protocol):
    """Optional capability: a training that resumes after an interruption."""

    def train_interrupted(
        self, folder: Path, rows: Sequence[TaskRow], settings: Settings, *, after: int
    ) -> TrainingResult:
        """Trains like `Implementation.train`, but is interrupted after `after` optimizer steps, and resumes.

        Raises:
            Unavailable: this training cannot be resumed; the message says why.
        """
        ...
