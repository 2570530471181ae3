"""One cell of the matrix: the result of training under one policy and loading under another. Does not need torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from sft_ref.io.strict_json import strict


class CellVerdict(StrEnum):
    """The verdict on a cell."""

    SAME = "same"
    """The dtypes are those of training, and every logit is bit-identical."""
    DRIFT = "drift"
    """Something changed, and no answers are lost."""
    BROKEN = "broken"
    """A stage fails: numbers that are not finite, answers lost, or an error."""
    NOT_RUN = "not run"
    """This machine cannot run the cell; `Cell.why` has the reason."""


@dataclass(frozen=True)
class TrainingFigures:
    """Figures of one training: losses of the first optimizer steps in nat, speed and peak memory."""

    first_losses: tuple[float | None, ...] = ()
    tokens_per_second: float | None = None
    peak_memory_mib: float | None = None


@dataclass(frozen=True)
class Cell:
    """The figures of one pair of policies; None is a number that is not finite, or was not measured.

    Attributes:
        train, load: names of the policies.
        verdict: see `CellVerdict`.
        why: size of the change, the broken stage and its failure, or the reason for not running.
        stage: the broken stage; empty if there is none.
        dtypes: dtypes of base, adapter and Linear products as loaded.
        same_dtypes: whether every tensor has its dtype of training.
        computed: a line for each class of module that computes in another dtype at inference than in training.
        finite: whether weights, logits, and module outputs during generation are finite.
        parity: largest difference of a logit from the model in memory at the end of training.
        rounding: how much rounding in these dtypes can change a logit (`tolerance.logits`).
        top1: share of positions whose most likely token is that of the trained model, or was a near tie.
        loss: loss of the true answer, in nat per token, teacher-forced.
        forced: share of questions for which every answer token is the most likely one, teacher-forced.
        answer_rate, accuracy: answer rate and accuracy of greedy answers.
        answers: answer to each question; None if there is none.
        changed_answers: number of answers that differ from those under the train policy.
        logits: mean, standard deviation and largest magnitude of the logits.
        headroom: largest output of any module as a share of 65504, fp16's largest number.
        headroom_module: name of the module with that output.
        tokens_per_second: speed of greedy generation, after a warm-up.
        weights_mib: size of parameters and buffers.
        peak_memory_mib: peak memory of the cell above its start; see `sft_ref.sweep.memory`.
        training: figures of the training, the same for all cells of a row.
    """

    train: str
    load: str
    verdict: CellVerdict
    why: str = ""
    stage: str = ""
    dtypes: str = ""
    same_dtypes: bool | None = None
    computed: tuple[str, ...] = ()
    finite: bool | None = None
    parity: float | None = None
    rounding: float | None = None
    top1: float | None = None
    loss: float | None = None
    forced: float | None = None
    answer_rate: float | None = None
    accuracy: float | None = None
    answers: tuple[float | None, ...] = ()
    changed_answers: int | None = None
    logits: dict[str, float | None] = field(default_factory=dict)
    headroom: float | None = None
    headroom_module: str = ""
    tokens_per_second: float | None = None
    weights_mib: float | None = None
    peak_memory_mib: float | None = None
    training: TrainingFigures = field(default_factory=TrainingFigures)

    def to_json(self) -> dict[str, Any]:
        """Returns the cell as strict JSON: no NaN, no infinity."""
        found: dict[str, Any] = strict(asdict(self))
        return found
