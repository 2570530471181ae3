"""One cell of the matrix: the result of training under one policy and loading under another. Needs no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from sft_ref.io.strict_json import strict


class CellVerdict(StrEnum):
    """The verdict on a cell."""

    SAME = "same"
    """The dtypes that were trained, and every logit bit for bit."""
    DRIFT = "drift"
    """Something changed, and no answers are lost."""
    BROKEN = "broken"
    """A stage fails: numbers that are not finite, answers lost, or an error."""
    NOT_RUN = "not run"
    """This machine cannot run it; the cell says why."""


@dataclass(frozen=True)
class TrainingFigures:
    """Figures of one training: losses of the first optimizer steps in nat, speed and peak memory."""

    first_losses: tuple[float | None, ...] = ()
    tokens_per_second: float | None = None
    peak_memory_mib: float | None = None


@dataclass(frozen=True)
class Cell:
    """One pair of policies; None is a number that is not finite, or was not measured.

    Attributes:
        train, load: names of the policies.
        verdict: see `CellVerdict`.
        why: how much changed, which stage is broken and how, or why it was not run.
        stage: the broken stage.
        dtypes: of base, adapter and Linear products as loaded.
        same_dtypes: whether every tensor has the dtype that was trained.
        computed: classes of module that compute in another dtype at inference than in training.
        finite: whether weights, logits, hidden states and the scores of generation are.
        parity: largest difference of a logit from the model in memory at the end of training.
        rounding: how much rounding in these dtypes can change a logit (`tolerance.logits`).
        top1: share of positions whose most likely token is the trained model's, or was a near tie.
        loss: of the true answer, in nat a token, teacher-forced.
        forced: share of questions of which every answer token is the most likely one, teacher-forced.
        answer_rate, accuracy: of greedy answers.
        answers: of each question; None if there is none.
        changed_answers: how many differ from those under the train policy.
        logits: mean, standard deviation and largest magnitude of the logits.
        headroom: the largest output of any module as a share of 65504, fp16's largest number.
        headroom_module: name of that module.
        tokens_per_second: of greedy generation, after a warm-up.
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
        """The cell as strict JSON: no NaN, no infinity."""
        found: dict[str, Any] = strict(asdict(self))
        return found
