"""The stages as a protocol: all that a check may ask of an implementation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from sft_ref.reference.data import Row, Score
from sft_ref.reference.guards.dtypes import Dtypes
from sft_ref.reference.settings import Settings

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Batch:
    """What reaches the model's forward in training, each int64 of shape (rows, tokens)."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Attributes:
        folder: the adapter's.
        adapter: its tensors at the end of training, before anything was saved, by their names in the file.
        losses: as the implementation reports them, one an optimizer step, in nat.
        settings: what it trained with, where that is not what it was asked for.
        scalings: factor on B @ A in force when training ended, by module; empty where only the file tells it.
        changed: parameters outside the adapter that training changed, by their names in the base.
        dtypes: of the model in memory when training ended, as `sft_ref.reference.precision.count_dtypes` counts them.
        logits: of that model for the batch of `context.PROBES`; None where they cannot be had.
    """

    folder: Path
    adapter: dict[str, torch.Tensor]
    losses: tuple[float, ...]
    settings: Settings | None = None
    scalings: Mapping[str, float] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    dtypes: Dtypes = field(default_factory=dict)
    logits: torch.Tensor | None = None


class Answerer(Protocol):
    """What `load` gives: a model that answers. `BaseLLM` is one, and so is the course's."""

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

    def parse_answer(self, text: str) -> float:
        """Completion to number."""
        ...

    def answer(self, *questions: str) -> list[float]:
        """Questions to numbers, the whole way."""
        ...


class Implementation(Protocol):
    """A supervised fine-tuning: from rows to an adapter, to a model that answers, to a score.

    Attributes:
        name: shown in results.
        base: name of the base model, as `sft_ref.reference.models.find_base` takes it.
        claims_contract: whether the contract's checks bind it too.

    An implementation may also say `stands_for`: the base that a toy takes the place of, for budgets of size.
    """

    name: str
    base: str
    claims_contract: bool

    def training_batch(self, rows: Sequence[Row]) -> Batch:
        """The batch that these rows make in training, in their order."""
        ...

    def train(self, folder: Path, rows: Sequence[Row], settings: Settings) -> Trained:
        """Fine-tunes and saves to the folder."""
        ...

    def load(self, folder: Path) -> Answerer:
        """Loads what `train` saved."""
        ...

    def test(self, answerer: Answerer, rows: Sequence[Row]) -> Score:
        """The score that the implementation itself reports."""
        ...


@runtime_checkable
class Gradients(Protocol):
    """A capability: one optimizer step, looked at before it is taken."""

    def gradients(self, rows: Sequence[Row], *, micro_batches: int, checkpointing: bool) -> dict[str, torch.Tensor]:
        """Gradients of the adapter, in fp32, of one step over all rows, for an adapter that is not blank.

        The adapter is the same at every call. The rows are split into equal micro-batches whose gradients accumulate,
        and activations are recomputed in the backward pass (`checkpointing`), as training does it.
        """
        ...


@runtime_checkable
class Trainables(Protocol):
    """A capability: what training would optimize under a policy, whether or not this machine can train in it."""

    def trainables(self, policy: str) -> dict[str, torch.dtype]:
        """The dtype of every tensor handed to the optimizer."""
        ...
