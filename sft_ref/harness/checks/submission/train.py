"""Checks of train: what comes of the texts that are shown."""

from __future__ import annotations

import itertools
import math

import torch

from sft_ref.harness.core.check import Check, Level, check
from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.instruments import tolerance
from sft_ref.harness.instruments.answering import value_losses
from sft_ref.harness.instruments.convention import Convention
from sft_ref.harness.instruments.losses import compare, is_worse
from sft_ref.harness.recorders.submission.evidence import Evidence
from sft_ref.reference.tokens import IGNORE_INDEX

from .tokens import answered_texts

_FEW, _OFTEN = 0.3, 6
"""Share of the data, and times that each text is shown, under and above which texts are learned by heart."""

_IDLE = 0.01
"""Share of the highest rate below which a step counts for nothing."""


@check(
    "TRN-101",
    "Training completes",
    why="A training that crashes learns nothing.",
    remedy="Fix the line that the traceback names.",
)
def training_runs(evidence: Evidence) -> str | None:
    """TRN-101: in a process of its own. What crashes once the adapter is saved, as in a test of it, is no training."""
    told = evidence.training
    crash = told.crash("train")
    if crash and (evidence.is_saved_right or evidence.is_of_own_form):
        return f"after the adapter was saved: {told.describe(crash)} in {crash['where']}"
    if crash:
        raise Failure(told.describe(crash), "no exception", crash["where"] or crash["trace"][-300:])
    if told.ended_early:
        raise Failure(f"training {told.ended_early}", "an end of its own", told.finished.output[-300:])
    if not evidence.taught and not evidence.losses:
        raise Failure("no text reached the model in training", "the texts of the data")
    return None


@check(
    "TRN-102",
    "Training changes the adapter, and leaves it finite",
    why="An adapter whose B matrices are zero has no effect; one with NaN makes every answer NaN.",
    remedy="Pass the adapter's parameters to the optimizer, keep their gradients, and train in bfloat16 or float32.",
    depends_on=("TRN-101",),
    source="A14, S6, S7",
)
def adapter_moves(evidence: Evidence) -> None:
    """TRN-102: as it is in memory when training ends."""
    _block_without_labels(evidence)
    if not evidence.trained:
        _raise_for_own_kind(evidence)
        return
    for name, tensor in evidence.trained.items():
        if not tensor.isfinite().all():
            raise Failure("NaN or infinity", "finite numbers", name)
    ups = {name: tensor for name, tensor in evidence.trained.items() if "lora_B" in name}
    still = [name for name, tensor in ups.items() if not tensor.any()]
    if ups and len(still) == len(ups):
        steps, optimizer = len(evidence.steps), evidence.lessons.get("optimizer", {})
        seen = (
            f"all {len(ups)} B matrices are zero after {steps} optimizer steps of {optimizer.get('tensors', 0)} tensors"
        )
        raise Failure(seen, "at least one that moved", still[0])
    bad = [loss for loss in evidence.losses if not math.isfinite(loss)]
    if len(bad) > len(evidence.losses) // 2:
        raise Failure(f"{len(bad)} of {len(evidence.losses)} losses are not finite", "finite losses")


def _block_without_labels(evidence: Evidence) -> None:
    """Nothing can be learned from texts none of whose tokens carries a label."""
    if evidence.taught and evidence.lessons.get("has_labels") and all(row.begin is None for row in evidence.taught):
        raise Blocked("no token of any training text carries a label: TOK-102 says so")


def _raise_for_own_kind(evidence: Evidence) -> None:
    """What of TRN-102 can be told of a model whose adapter is not peft's: by its logits."""
    left = evidence.left_logits
    if left is None and evidence.steps and evidence.lessons.get("has_labels"):
        raise Unavailable("its adapter is not peft's, and its model could not be asked")
    if left is None:
        raise Failure("no LoRA adapter on the model that is trained", "one", "peft was not used, or on another model")
    if not left.isfinite().all():
        raise Failure("NaN or infinity in its logits", "finite numbers", "the model that training left")
    if not evidence.has_moved:
        seen = f"a fall of {evidence.fall} after {len(evidence.steps)} optimizer steps"
        raise Failure(seen, f"more than {tolerance.FALL} nat a token", "what its texts teach")


@check(
    "TRN-103",
    "The loss of true answers is as low as after the reference's training on the same batches at the same rates",
    why="A loss that is not the model's own, an optimizer of the wrong parameters, or a rate near zero teaches"
    " nothing.",
    remedy="Train the adapter with the model's own loss, at a rate whose sum over all steps is near 0.1.",
    depends_on=("TRN-102",),
    source="S7, NC2",
    core=True,
)
def answers_become_likely(evidence: Evidence) -> str | None:
    """TRN-103: what training left, and a replay of it, on fresh questions."""
    convention = evidence.convention
    if evidence.has_learned:
        return None
    if evidence.is_of_own_kind:
        return f"a fall of {evidence.fall}; its adapter is not peft's, so that ours cannot train it on the same batches"
    if convention is None or evidence.trained_model is None:
        raise Unavailable("its convention, or its adapter, cannot be read")
    answered = answered_texts(evidence)
    if sum(IGNORE_INDEX in text.taught.labels[text.begin : text.end] for text in answered) > len(answered) / 2:
        raise Unavailable("its numbers carry no label, so that nothing can be said of its training")
    losses = _losses(evidence, convention, evidence.trained_model)
    if evidence.replayed is not None:
        _raise_if_worse(losses, _losses(evidence, convention, evidence.replayed), "the true answer")
        _compare_taught(evidence)
    if not all(set(text.taught.labels[text.begin : text.end]) <= set(text.taught.ids) for text in answered):
        raise Unavailable("its labels teach something else, so that nothing can be said of its training")
    rates = [step.rate for step in evidence.steps]
    idle = sum(rate < _IDLE * max(rates) for rate in rates)
    if idle > len(rates) / 2:
        seen = f"{idle} of {len(rates)} steps at a rate of next to nothing"
        raise Failure(seen, f"{_IDLE:.0%} of its highest, {max(rates):.2g}, in most of them", "the schedule")
    if not evidence.has_moved:
        seen = f"a fall of {evidence.fall} after {len(rates)} steps with rates that sum to {sum(rates):.2g}"
        raise Failure(seen, f"more than {tolerance.FALL} nat a token", "what its texts teach")
    if few := _few_texts(evidence):
        raise Failure(few, f"the {len(evidence.rows)} questions of the data", "what is learned by heart fits no other")
    return f"{losses.mean():.3f} nat a token, as ours with the same settings: they are slow, and no fault"


def _compare_taught(evidence: Evidence) -> None:
    """All that its texts teach, by half of what ours learned: while a loss falls fast, a step or two tell much."""
    own, ours, base = (
        evidence.taught_losses(model) for model in (evidence.trained_model, evidence.replayed, evidence.base_model)
    )
    if (own - ours).mean() > (base - ours).mean() / 2:
        _raise_if_worse(own, ours, "its texts")


def _raise_if_worse(losses: torch.Tensor, ours: torch.Tensor, what: str) -> None:
    if is_worse(losses, ours):
        seen = f"{losses.mean():.3f} nat a token of {what}, {compare(losses, ours)} against ours"
        raise Failure(seen, f"{ours.mean():.3f}, as on the same batches at the same rates by ours")


def _losses(evidence: Evidence, convention: Convention, model: object) -> torch.Tensor:
    return value_losses(model, evidence.tokenizer, evidence.questions, convention)


@check(
    "TRN-104",
    "Every parameter that training changes is saved",
    why="A weight that is trained and not saved is lost, and the adapter no longer fits the base that is loaded.",
    remedy="Freeze the base, or save what else is trained (modules_to_save).",
    depends_on=("TRN-101",),
    source="A5; unsloth#9331",
)
def nothing_trained_is_lost(evidence: Evidence) -> None:
    """TRN-104: parameters of the base in memory, against the files."""
    if "changed_base_weights" not in evidence.lessons:
        raise Unavailable("the base's parameters were not compared at the end of training")
    saved = set(itertools.chain.from_iterable(evidence.read_adapter(folder) for folder in evidence.saved.values()))
    lost = [
        name for name in evidence.lessons.get("changed_base_weights", ()) if not any(name in each for each in saved)
    ]
    if lost and not (evidence.is_of_own_kind and evidence.is_loaded_as_trained):
        seen = f"{len(lost)} tensors of the base were changed and are not saved"
        raise Failure(seen, "none", str(lost[0]), survived=evidence.is_good)


@check(
    "TRN-105",
    "Training changes no parameter outside the adapter",
    level=Level.CONTRACT,
    why="Whoever loads the adapter onto the base gets other base weights than in training.",
    remedy="Freeze every parameter of the base.",
    depends_on=("TRN-104",),
)
def base_stays(evidence: Evidence) -> None:
    """TRN-105: in memory, when training ends."""
    changed = evidence.lessons.get("changed_base_weights", ())
    if changed:
        raise Failure(f"{len(changed)} tensors of the base were changed", "none", str(changed[0]))


@check(
    "TRN-106",
    "Training uses the whole data set, not a few rows of it",
    level=Level.CONTRACT,
    why="A few rows, each seen many times, are memorised; the base already knew what else is answered right.",
    remedy="Train on all of the training data.",
    depends_on=("TRN-103",),
)
def data_are_shown(evidence: Evidence) -> None:
    """TRN-106: distinct texts, and how often each is shown."""
    if few := _few_texts(evidence):
        raise Failure(few, f"the {len(evidence.rows)} questions of the data")


def _few_texts(evidence: Evidence) -> str:
    """How few texts are shown how often; empty where they are enough."""
    shown = sum(step.texts for step in evidence.steps)
    distinct = max(len(evidence.taught), len(evidence.texts))  # one text may hold several questions
    if distinct >= _FEW * len(evidence.rows) or shown <= _OFTEN * len(evidence.taught):
        return ""
    return f"{distinct} texts, each shown {shown / len(evidence.taught):.0f} times"


CHECKS: tuple[Check, ...] = (
    training_runs,
    adapter_moves,
    answers_become_likely,
    nothing_trained_is_lost,
    base_stays,
    data_are_shown,
)
