"""What is observed of a training: frozen, so that each finding is a pure function of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from sft_ref.reference.tokens import IGNORE_INDEX
from sft_ref.witnessing.record.probes import LabelledIds

Supervised = Literal["completion", "all"]


@dataclass(frozen=True)
class TrainingFault:
    """Something that is wrong with a training.

    Attributes:
        what: one sentence on what was observed.
        mend: what to do.
        is_fatal: whether nothing can be learned; otherwise it is doubtful.
    """

    what: str
    mend: str
    is_fatal: bool = False

    def __str__(self) -> str:
        return f"{self.what}; {self.mend}"


@dataclass(frozen=True)
class ObservedBatch:
    """A batch as it reached the model's forward.

    Attributes:
        rows: without padding; each text is one where several share a row of the batch, and their positions are known.
        width: tokens of a row with padding.
        has_labels: whether labels reached the forward; the rows have none supervised otherwise.
        supervised_padding: labels that are not -100 where the attention mask is 0.
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
        """The rows as models are compared on them: as whole texts, where no labels reached the forward."""
        return self.rows if self.has_labels else tuple(LabelledIds(row.input_ids, row.input_ids) for row in self.rows)


@dataclass(frozen=True)
class ObservedParameter:
    """A parameter at the first optimizer step.

    Attributes:
        name: in the base; of an adapter's tensor with what peft adds.
        module: of the base that it belongs to.
        is_adapter: whether it belongs to the adapter.
        is_trainable: whether it asks for a gradient.
        is_in_optimizer: whether the optimizer that steps holds it.
        dtype: as torch names it.
        gradient: Euclidean norm; None where there is none.
        has_moved: whether the step changed it.
        rounded_away: share of its values that a step of the highest planned rate would not change, being smaller than
            half a unit in the last place.
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
class LearningPlan:
    """The learning rates of a training, as far as they are known.

    Attributes:
        steps: planned optimizer steps; None where that is not known.
        rates: of each planned step, the highest of all groups; empty where that is not known.
        optimizer: class of the optimizer.
    """

    steps: int | None = None
    rates: tuple[float, ...] = ()
    optimizer: str = "AdamW"

    @property
    def is_normalised(self) -> bool:
        """Whether a step has about the length of the rate, whatever the gradient."""
        return "adam" in self.optimizer.lower() or self.optimizer in {"Lion", "Adafactor"}


@dataclass(frozen=True)
class FirstStep:
    """All that is observed up to the first optimizer step, and the step itself.

    Attributes:
        batches: of the step; several where gradients are accumulated.
        parameters: of the model.
        plan: of the learning rates.
        ends: ids that end an answer.
        padding: id of the padding token.
        supervised: what the caller means to supervise; None where it is not said.
        autocast: dtype of autocast in the forward; None where it is off.
        sleeping_dropout: modules of dropout that are in evaluation mode although the model is in training mode.
        reentrant: whether gradient checkpointing is on in its older form, which needs inputs with gradients.
        inputs_need_gradients: whether the embeddings ask for gradients.
        outputs_need_gradients: whether a gradient can reach anything.
        alignment: cosine between the gradient at the logits and that of the labels' cross-entropy; None where it is
            not known.
        same_batch: pairs of processes whose first batches are equal.
    """

    batches: tuple[ObservedBatch, ...]
    parameters: tuple[ObservedParameter, ...] = ()
    plan: LearningPlan = field(default_factory=LearningPlan)
    ends: frozenset[int] = frozenset()
    padding: int | None = None
    supervised: Supervised | None = None
    autocast: str | None = None
    sleeping_dropout: tuple[str, ...] = ()
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


def supervised_of(labels: Sequence[int]) -> list[int]:
    """Indices of supervised tokens, the first token left out: nothing predicts it."""
    return [place for place, label in enumerate(labels) if place and label != IGNORE_INDEX]


def share(part: int, whole: int, what: str) -> str:
    """``3 of 8 rows``, or ``all 8 rows``."""
    return f"all {whole} {what}" if part == whole else f"{part} of {whole} {what}"


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many there are besides."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
