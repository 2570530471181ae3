"""Compares a loaded model's outputs on the probes with those of the trained model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sft_ref.harness.instruments.steps.evaluation_mode import evaluation_mode
from sft_ref.reference.guards.dtypes import dtype_name
from sft_ref.witnessing.record.probes import run_probe
from sft_ref.witnessing.record.schema import StoredRecord, TrainingRecord

from . import tolerance
from .result import RecordDifference


@dataclass(frozen=True)
class ProbeFigures:
    """The distances between a loaded model's outputs and the recorded ones.

    Attributes:
        dtype: dtype in which the logits are computed.
        run: recorded run of the trained model that is compared.
        to_trained: root mean square difference of logits from the trained model's, relative to their spread.
        to_base: the same from the base model's; None if that run was not recorded.
        apart: the same between the two recorded runs; None if that of the base model was not recorded.
        loss: largest difference of a probe's mean loss from the trained model's, in nat; None if not recorded.
        first: the first token whose most likely id differs, as (probe, position); None if there is none.
    """

    dtype: str
    run: str
    to_trained: float
    to_base: float | None
    apart: float | None
    loss: float | None
    first: tuple[int, int] | None


def measure_outputs(stored: StoredRecord, model: Any) -> ProbeFigures | None:  # noqa: ANN401
    """Runs each probe once, alone, in evaluation mode; returns None if the model cannot run the record's probes.

    Raises:
        Exception: any exception that the model raises when it is run.
    """
    record, top = stored.record, stored.tensors["top_ids"].long()
    if not record.probes or max(_largest_id(record), int(top.max())) >= _rows(model):
        return None
    logits, losses, dtypes = torch.full(top.shape, torch.nan), [], set[str]()
    with evaluation_mode(model):
        for number, probe in enumerate(record.probes):
            run = run_probe(model, probe.input_ids)
            due = torch.tensor(probe.positions) - 1
            at = run.logits[due]
            logits[number, : len(due)] = at.gather(1, top[number, : len(due)].clamp(min=0))
            losses.append(run.loss(probe.labels))
            dtypes.add(dtype_name(run.logits.new_empty(0, dtype=run.dtype)))
    return compare_outputs(stored, logits, losses, dtypes.pop())


def compare_embedding(record: TrainingRecord, model: Any) -> Iterator[RecordDifference]:  # noqa: ANN401
    """Reports that the embedding has no row for a token of the probes."""
    if record.probes and (largest := _largest_id(record)) >= (rows := _rows(model)):
        yield RecordDifference(
            "load",
            f"the embedding has {rows} rows, and the trained texts have the id {largest}",
            "save the embedding with the adapter (save_embedding_layers=True, or modules_to_save)",
        )


def _largest_id(record: TrainingRecord) -> int:
    return max(one for probe in record.probes for one in (*probe.input_ids, *probe.labels))


def _rows(model: Any) -> int:  # noqa: ANN401
    return len(model.get_input_embeddings().weight)


def compare_outputs(stored: StoredRecord, logits: torch.Tensor, losses: Sequence[float], dtype: str) -> ProbeFigures:
    """Computes the distances from measured logits and losses.

    Args:
        stored: the record.
        logits: logits at `top_ids`, of their shape.
        losses: mean loss of each probe.
        dtype: dtype in which the model computes its logits.
    """
    in_float32 = dtype == "float32" and stored.run("trained_fp32") is not None
    end = "_fp32" if in_float32 else ""
    trained, base = stored.run(f"trained{end}"), stored.run(f"base{end}")
    if trained is None:
        trained = logits.new_full(logits.shape, torch.nan)
    due = [each.losses.get(f"trained{end}") for each in stored.record.probes]
    distances = [abs(now - one) for now, one in zip(losses, due, strict=True) if one is not None]
    return ProbeFigures(
        dtype,
        f"trained{end}",
        _apart(logits, trained),
        None if base is None else _apart(logits, base),
        None if base is None else _apart(base, trained),
        max(distances, default=None),
        _first_difference(logits, trained),
    )


def _apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """Returns the root mean square difference, relative to the spread of the second's values; infinite for NaN."""
    known = ~other.isnan()
    values, spread = other[known], float(other[known].std())
    if not values.numel() or not spread > 0:
        return math.inf
    found = float((one[known] - values).pow(2).mean().sqrt()) / spread
    return found if math.isfinite(found) else math.inf


def _first_difference(one: torch.Tensor, other: torch.Tensor) -> tuple[int, int] | None:
    known = ~other.isnan().any(-1)
    turned = ((one.argmax(-1) != other.argmax(-1)) & known).nonzero()
    return (int(turned[0, 0]), int(turned[0, 1])) if len(turned) else None


def judge_outputs(stored: StoredRecord, found: ProbeFigures, *, explained: bool) -> list[RecordDifference]:
    """Returns the differences that the distances show.

    Args:
        stored: the record.
        found: the measured distances.
        explained: whether other differences were found that explain different outputs.
    """
    precision = stored.record.precision
    trained = precision.autocast or precision.base
    coarsest = tolerance.coarser(trained, found.dtype) if found.run == "trained" else "float32"
    limit = tolerance.LOGITS[coarsest]
    differences = []
    if found.run == "trained" and tolerance.coarser(trained, found.dtype) != trained and not explained:
        differences.append(
            RecordDifference(
                "precision",
                f"it computes in {found.dtype}, and training computed in {trained}; logits differ by"
                f" {found.to_trained:.2g} of their spread",
                "load the model in the dtype it was trained in",
                found.to_trained,
            )
        )
    is_off = found.to_trained > limit or (found.loss is not None and found.loss > tolerance.LOSS[coarsest])
    if not is_off:
        return differences
    if found.to_trained == math.inf:
        differences.append(
            RecordDifference(
                "precision",
                "logits are NaN or infinite, and were finite in training",
                "load in another dtype",
                math.inf,
            )
        )
    elif _is_base(found, limit):
        differences.append(
            RecordDifference(
                "load",
                f"the outputs are those of the base: the adapter has no effect (logits are {found.to_base:.2g} of"
                f" their spread from the base's, and {found.to_trained:.2g} from the trained model's)",
                "load the adapter and leave it active",
                found.to_trained,
            )
        )
    elif not explained and not differences:
        differences.append(
            RecordDifference(
                "load",
                f"the outputs are not those of the trained model: logits differ by {found.to_trained:.2g} of their"
                f" spread (at most {limit:.2g} is rounding), losses by up to {found.loss or 0:.2g} nat",
                "check how it is loaded: attention, positions, scaling, and wrappers of the model",
                found.to_trained,
            )
        )
    return differences


def _is_base(found: ProbeFigures, limit: float) -> bool:
    """Whether the outputs are the base model's, and those differ from the trained model's."""
    if found.to_base is None or found.apart is None:
        return False
    return found.to_base <= max(limit, 0.1 * found.apart) and found.apart > limit
