"""Defines the observations of a training: frozen, so that each finding is a pure function of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from sft_ref.witnessing.record.probes import LabelledIds

Supervised = Literal["completion", "all"]

_LISTED = 3
"""Names that a message lists."""


@dataclass(frozen=True)
class TrainingFault:
    """A fault of a training.

    Attributes:
        what: one sentence that describes the observation.
        remedy: how to fix it.
        is_fatal: whether nothing can be learned; otherwise the training is only doubtful.
    """

    what: str
    remedy: str
    is_fatal: bool = False

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}"


@dataclass(frozen=True)
class ObservedBatch:
    """A batch as passed to the model's forward.

    Attributes:
        rows: rows without padding. If several texts share a row of the batch, and their positions are known, each text
            is a row.
        width: number of tokens of a row, with padding.
        has_labels: whether labels were passed to the forward; if not, no token of the rows is supervised.
        supervised_padding: number of labels that are not -100 although the attention mask is 0.
        is_packed: whether several texts share a row.
        is_training: whether the model was in training mode.
    """

    rows: tuple[LabelledIds, ...]
    width: int
    has_labels: bool = True
    supervised_padding: int = 0
    is_packed: bool = False
    is_training: bool = True

    @property
    def probe_rows(self) -> tuple[LabelledIds, ...]:
        """The rows for comparing models: supervised as whole texts if no labels were passed to the forward."""
        return self.rows if self.has_labels else tuple(LabelledIds(row.input_ids, row.input_ids) for row in self.rows)


@dataclass(frozen=True)
class ObservedParameter:
    """A parameter at the first optimizer step.

    Attributes:
        name: name in the base model; for an adapter tensor, with the suffix that peft adds.
        module: the base module that it belongs to.
        is_adapter: whether it belongs to the adapter.
        is_trainable: whether it requires a gradient.
        is_in_optimizer: whether it is in the optimizer that steps.
        dtype: torch's name of the dtype.
        gradient: Euclidean norm of the gradient; None if there is none.
        has_moved: whether the step changed it.
        rounded_away: share of its values that a step at the highest planned learning rate would not change, because the
            step is smaller than half a unit in the last place.
    """

    name: str
    module: str
    is_adapter: bool
    is_trainable: bool = True
    is_in_optimizer: bool = True
    dtype: str = "float32"
    gradient: float | None = 1.0
    has_moved: bool | None = None
    rounded_away: float = 0.0


@dataclass(frozen=True)
class LRSchedule:
    """The learning rates of a training, as far as they are known.

    Attributes:
        steps: number of planned optimizer steps; None if unknown.
        rates: learning rate of each planned step, the highest of all parameter groups; empty if unknown.
        optimizer: class name of the optimizer.
    """

    steps: int | None = None
    rates: tuple[float, ...] = ()
    optimizer: str = "AdamW"

    @property
    def is_normalised(self) -> bool:
        """Whether the length of a step is about the learning rate, whatever the gradient."""
        return "adam" in self.optimizer.lower() or self.optimizer in {"Lion", "Adafactor"}


@dataclass(frozen=True)
class FirstStep:
    """All observations up to and including the first optimizer step.

    Attributes:
        batches: batches of the step; several if gradients are accumulated.
        parameters: the model's parameters.
        plan: the planned learning rates.
        ends: ids of tokens that end an answer.
        padding: id of the padding token.
        supervised: the tokens that the caller wants to supervise; None if not specified.
        autocast: autocast dtype in the forward pass; None if autocast is off.
        dropout_in_eval_mode: names of dropout modules in evaluation mode, although the model is in training mode.
        reentrant: whether reentrant gradient checkpointing is on, which needs inputs that require gradients.
        inputs_need_gradients: whether the embeddings require gradients.
        outputs_need_gradients: whether the model's outputs require gradients, so that a gradient can reach any
            parameter.
        alignment: cosine between the gradient at the logits and that of the labels' cross-entropy; None if unknown.
        same_batch: pairs of processes whose first batches are equal.
    """

    batches: tuple[ObservedBatch, ...]
    parameters: tuple[ObservedParameter, ...] = ()
    plan: LRSchedule = field(default_factory=LRSchedule)
    ends: frozenset[int] = frozenset()
    padding: int | None = None
    supervised: Supervised | None = None
    autocast: str | None = None
    dropout_in_eval_mode: tuple[str, ...] = ()
    reentrant: bool = False
    inputs_need_gradients: bool = True
    outputs_need_gradients: bool = True
    alignment: float | None = None
    same_batch: tuple[tuple[int, int], ...] = ()

    @property
    def rows(self) -> list[LabelledIds]:
        """The rows of all batches that have labels."""
        return [row for batch in self.batches if batch.has_labels for row in batch.rows]

    @property
    def adapter(self) -> list[ObservedParameter]:
        """The adapter's parameters."""
        return [each for each in self.parameters if each.is_adapter]


def share(part: int, whole: int, what: str) -> str:
    """Formats a share, as ``3 of 8 rows``, or ``all 8 rows``."""
    return f"all {whole} {what}" if part == whole else f"{part} of {whole} {what}"


def listed(names: Sequence[str]) -> str:
    """Lists the first names, and the number of the others."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
