"""Determines from an endpoint's results for the probes whether it serves the trained model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

from sft_ref.witnessing.record.schema import StoredRecord
from sft_ref.witnessing.verifying.result import RecordDifference

from .distance import LogprobDistance, distance
from .limits import COARSEST, NEARER, ROUNDED, EndpointLimits, limits_of
from .probe_client import ServedProbes

ServedVerdict = Literal[
    "trained model", "base model: the adapter has no effect", "another template or tokenizer", "drift", "not told"
]


@dataclass(frozen=True)
class ComparedRun:
    """The comparison of an endpoint with one recorded run.

    Attributes:
        name: name of the run; see `schema.RUNS`.
        logprobs: distance of the logprobs; None if the server lists too few.
        loss: largest difference of a probe's mean loss, in nat; None if unknown.
    """

    name: str
    logprobs: LogprobDistance | None
    loss: float | None

    @property
    def size(self) -> float:
        """The distance that determines which of several runs is nearest."""
        share = self.logprobs.share if self.logprobs else None
        return next((each for each in (share, self.loss) if each is not None), math.inf)

    def is_within(self, limits: EndpointLimits) -> bool:
        """Whether rounding explains the difference."""
        return limits.allow(self.logprobs, self.loss)


@dataclass(frozen=True)
class ComparedEndpoint:
    """The comparison of an endpoint's outputs with the record.

    Attributes:
        verdict: the verdict, as text.
        differences: differences from the record; empty for the trained model.
        figures: measured distances, by name.
        notes: parts that could not be compared, and the first token that differs.
    """

    verdict: ServedVerdict
    differences: tuple[RecordDifference, ...]
    figures: dict[str, float]
    notes: tuple[str, ...]


def compare_served(stored: StoredRecord, served: ServedProbes) -> ComparedEndpoint:
    """Compares the served results with the recorded runs, and determines which model is served."""
    if served.miscounted:
        return ComparedEndpoint("another template or tokenizer", (_miscounted(served),), {}, ())
    trained, base = _nearest(stored, served, "trained"), _nearest(stored, served, "base")
    notes = [f"asked with {served.form}"]
    if served.skipped:
        total = sum(len(each.positions) for each in stored.record.probes)
        notes.append(f"{served.skipped} of {total} positions could not be asked")
    if not served.is_nan and (changed := _first_difference(stored, served, trained)):
        notes.append(changed)
    verdict, difference = _judge(stored, served, trained, base)
    return ComparedEndpoint(verdict, () if difference is None else (difference,), _figures(trained, base), tuple(notes))


def _nearest(stored: StoredRecord, served: ServedProbes, model: str) -> ComparedRun | None:
    """Returns the nearer of a model's two runs, since a server may compute in another precision than training.

    Returns None if neither run was recorded.
    """
    found = []
    for name in (model, f"{model}_fp32"):
        recorded = stored.run(name)
        if recorded is None:
            continue
        due = [each.losses.get(name) for each in stored.record.probes]
        pairs = zip(served.losses, due, strict=True)
        apart = [abs(now - was) for now, was in pairs if now is not None and was is not None]
        found.append(ComparedRun(name, distance(served.logprobs, recorded), max(apart, default=None)))
    return min(found, key=lambda each: each.size, default=None)


def _judge(
    stored: StoredRecord, served: ServedProbes, trained: ComparedRun | None, base: ComparedRun | None
) -> tuple[ServedVerdict, RecordDifference | None]:
    if served.is_nan:
        return "drift", RecordDifference(
            "precision", "logprobs are NaN, and were finite in training", "serve in another dtype", math.inf
        )
    if trained is None or trained.size == math.inf:
        return "drift", RecordDifference(
            "load",
            "the most likely tokens are not those of the trained model",
            "check which model is served, and under which name",
            math.inf,
        )
    if base is not None and base.is_within(COARSEST) and base.size <= NEARER * trained.size:
        return "base model: the adapter has no effect", RecordDifference(
            "load",
            f"the outputs are those of the base ({_size(base)}; from the trained model {_size(trained)})",
            "start the server with the adapter, and request it by its name",
            trained.size,
        )
    if trained.is_within(limits_of(stored)):
        if base is None or trained.size <= NEARER * base.size:
            return "trained model", None
        return "not told", RecordDifference(
            "load",
            f"the outputs are as near to the base ({_size(base)}) as to the trained model ({_size(trained)})",
            "serve in float32 for the comparison: rounding changes the outputs more than the adapter does",
            trained.size,
        )
    return "drift", _drift(trained, base)


def _drift(trained: ComparedRun, base: ComparedRun | None) -> RecordDifference:
    """Describes a drift, with the cause that its size suggests."""
    is_trained = base is None or trained.size <= NEARER * base.size
    like = next((name for name, limits in ROUNDED.items() if trained.is_within(limits)), None) if is_trained else None
    if like is not None:
        return RecordDifference(
            "precision",
            f"the outputs drift from those of training: {_size(trained)}; rounding to {like} is of this size",
            "serve in the dtype of training, or accept this drift",
            trained.size,
        )
    return RecordDifference(
        "load",
        f"the outputs are not those of the trained model: {_size(trained)}; rounding explains less",
        "check which adapter and base are served, scaling, and quantisation",
        trained.size,
    )


def _size(run: ComparedRun) -> str:
    words = []
    if run.logprobs is not None:
        words.append(
            f"logprobs differ by up to {run.logprobs.largest:.2g} nat, {run.logprobs.share:.2g} of their spread"
        )
    if run.loss is not None:
        words.append(f"losses by up to {run.loss:.2g} nat")
    return ", ".join(words)


def _figures(trained: ComparedRun | None, base: ComparedRun | None) -> dict[str, float]:
    figures: dict[str, float] = {}
    if trained is not None and trained.logprobs is not None:
        figures["largest logprob difference, nat"] = trained.logprobs.largest
        figures["KL estimate, nat a token"] = trained.logprobs.divergence
        figures["logprobs, share of their spread"] = trained.logprobs.share
    if trained is not None and trained.loss is not None:
        figures["loss, nat"] = trained.loss
    if base is not None and base.logprobs is not None:
        figures["logprobs from the base, share of their spread"] = base.logprobs.share
    return figures


def _miscounted(served: ServedProbes) -> RecordDifference:
    first = served.miscounted[0]
    remedy = "serve with the tokenizer and template of training; /completions must add nothing to a prompt"
    if first.due != first.found or first.place is None:
        return RecordDifference(
            "template" if first.found > first.due else "tokenizer",
            f"the server makes {first.found} tokens of a prompt that had {first.due} in training",
            remedy,
            first.found - first.due,
        )
    return RecordDifference(
        "tokenizer", f"from token {first.place + 1} on, the server's tokens differ from those of training", remedy
    )


def _first_difference(stored: StoredRecord, served: ServedProbes, trained: ComparedRun | None) -> str | None:
    """Describes the first position with a different most likely token, unless the two best were nearly tied."""
    recorded = None if trained is None else stored.run(trained.name)
    if trained is None or recorded is None:
        return None
    close = 2 * trained.logprobs.largest if trained.logprobs else 0.0
    top = stored.tensors["top_ids"].long()
    for number, probe in enumerate(stored.record.probes):
        for place, position in enumerate(probe.positions[: len(served.likeliest[number])]):
            logits = recorded[number, place]
            best = int(logits.nan_to_num(-math.inf).argmax())
            found, due = served.likeliest[number][place], int(top[number, place, best])
            if found not in {"", due} and not _is_tie(logits, top[number, place], found, close):
                name = f"id {found}" if isinstance(found, int) else f"{found!r}"
                return (
                    f"first differing token: probe {number + 1}, token {position + 1}: most likely is {name}, and"
                    f" was id {due}"
                )
    return None


def _is_tie(logits: torch.Tensor, ids: torch.Tensor, found: int | str, close: float) -> bool:
    """Whether the served token was nearly as likely in training, within rounding."""
    own = logits[ids == found] if isinstance(found, int) else logits[:0]
    limit = min(close, 0.1)
    return bool(len(own)) and float(logits.nan_to_num(-math.inf).max() - own[0]) <= limit
