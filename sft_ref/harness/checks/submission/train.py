"""Checks of the stage train: the results of training on the texts."""

from __future__ import annotations

import math

import torch

from sft_ref.harness.core import margins, tolerance
from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.core.paired import compare, is_worse
from sft_ref.harness.evidence import Evidence
from sft_ref.harness.evidence.experiments import TrainingSwap
from sft_ref.harness.evidence.submission.wording import answered_texts
from sft_ref.harness.evidence.training import Training, TrainingSteps
from sft_ref.reference.tokens import IGNORE_INDEX

_FEW, _OFTEN = 0.3, 6
"""Texts count as memorised below this fraction of the data, and above this number of times that each text is shown."""

_IDLE = 0.01
"""Fraction of the highest learning rate below which a step counts as idle."""

_REPEATED = 1 / 4
"""Largest fraction of the rows that the same or the previous step already showed. Two workers with the same rows give
1/2; draws with replacement give 1/8 with as few rows as `_MANY_ROWS` allows."""

_MANY_ROWS = 12
"""Smallest ratio of all rows to those of the largest step at which chance seldom repeats a row in the next step."""


@check(
    "TRN-101",
    "Training completes",
    why="A training that crashes learns nothing.",
    remedy="Fix the line that the traceback names.",
)
def training_runs(evidence: Evidence) -> str | None:
    """TRN-101: Trains in a separate process; a crash after the adapter is saved, as in a test of it, is only advice."""
    training, artifact = evidence.training, evidence.artifact
    crash = training.crash
    if crash and (artifact.is_saved_right or artifact.is_custom_form):
        return f"after the adapter was saved: {crash.description} in {crash.where}"
    if crash:
        raise Failure(f"training raises {crash.description}", "no exception", crash.place)
    if training.process.ended_early:
        raise Failure(f"training {training.process.ended_early}", "a training that completes", training.process.output)
    if not evidence.examples.distinct and not training.losses:
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
    """TRN-102: Examines the adapter in memory at the end of training."""
    _block_without_labels(evidence)
    training = evidence.training
    if not training.adapter:
        _raise_for_custom_lora(evidence)
        return
    for name, tensor in training.adapter.items():
        if not tensor.isfinite().all():
            raise Failure("a trained tensor has NaN or infinity", "finite numbers", name)
    ups = {name: tensor for name, tensor in training.adapter.items() if "lora_B" in name}
    still = [name for name, tensor in ups.items() if not tensor.any()]
    if ups and len(still) == len(ups):
        steps = len(training.steps)
        seen = f"all {len(ups)} B matrices are zero after {steps} optimizer steps of {training.optimized} tensors"
        raise Failure(seen + _why_still(training), "at least one that moved", still[0])
    bad = [loss for loss in training.losses if not math.isfinite(loss)]
    if len(bad) > len(training.losses) // 2:
        raise Failure(f"{len(bad)} of {len(training.losses)} losses are not finite", "finite losses")


def _why_still(training: Training) -> str:
    """Explains why no tensor changes, as far as the recorded steps show it."""
    steps = training.recorded.steps if training.recorded is not None else ()
    if steps and all(set(step.outside) >= step.trained for step in steps):
        return ", none of which is the adapter's"
    if steps and not any(step.clipped for step in steps):
        return "; no gradient reaches them, as from a loss that is detached from the model"
    return ""


def _block_without_labels(evidence: Evidence) -> None:
    """Raises `Blocked` if no token of the training texts has a label, since nothing can be learned from them."""
    examples = evidence.examples
    if examples.distinct and examples.labelled and examples.are_unlabelled:
        raise Blocked("no token of any training text has a label, as TOK-102 reports")


def _raise_for_custom_lora(evidence: Evidence) -> None:
    """Applies TRN-102 to a model whose adapter is not peft's, based on its logits."""
    training = evidence.training
    if training.has_finite_logits is None and training.steps and evidence.examples.labelled:
        raise Unavailable("its adapter is not peft's, and its model could not be run")
    if training.has_finite_logits is None:
        raise Failure("the model that is trained has no LoRA adapter", "one", "peft was not used, or on another model")
    if not training.has_finite_logits:
        raise Failure("logits of the trained model are NaN or infinite", "finite numbers")
    if not training.has_moved:
        seen = f"the loss of its texts falls by {training.fall} after {len(training.steps)} optimizer steps"
        raise Failure(seen, f"more than {tolerance.FALL} nat a token")


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
    """TRN-103: Compares the trained adapter with a replay of its training by the reference, on fresh questions."""
    training, swap = evidence.training, evidence.experiments.training
    if training.has_learned:
        return None
    if training.is_custom_lora:
        return (
            f"the loss of its texts falls by {training.fall}; the reference cannot train an adapter that is not peft's"
        )
    if evidence.examples.form is None:
        raise Unavailable("its convention, or its adapter, cannot be read")
    answered = answered_texts(evidence.examples)
    if sum(IGNORE_INDEX in text.labels[text.begin : text.end] for text in answered) > len(answered) / 2:
        raise Unavailable("its numbers have no label, so its training cannot be judged")
    if swap is None:
        raise Unavailable("its convention, or its adapter, cannot be read")
    _compare_with_replay(training, swap)
    if not all(set(text.labels[text.begin : text.end]) <= set(text.ids) for text in answered):
        raise Unavailable("its labels teach something else, so its training cannot be judged")
    rates = [step.rate for step in training.steps]
    idle = sum(rate < _IDLE * max(rates) for rate in rates)
    if idle > len(rates) / 2:
        seen = f"{idle} of {len(rates)} steps have hardly any learning rate"
        raise Failure(
            seen, f"{_IDLE:.0%} or more of the highest rate, {max(rates):.2g}, in most of them", "the schedule"
        )
    if not training.has_moved:
        rate = f"rates that sum to {sum(rates):.2g}"
        seen = f"the loss of its texts falls by {training.fall} after {len(rates)} steps with {rate}"
        raise Failure(seen, f"more than {tolerance.FALL} nat a token")
    if few := _few_texts(evidence):
        raise Failure(
            few, f"the {evidence.examples.data} questions of the data", "memorised answers fit no other question"
        )
    loss = f"the loss of true answers is {swap.answer_losses.mean():.3f} nat a token"
    return f"{loss}, as the reference's: the settings are slow, which is no fault"


def _compare_with_replay(training: Training, swap: TrainingSwap) -> None:
    """Compares with the replay the losses of true answers, and of all labelled tokens of the training texts.

    A training that the time limit cuts ends at a high learning rate, where rounding alone
    changes the loss of answers; it is judged by its texts, or not at all.
    """
    if training.models > 1 and training.has_moved:
        raise Unavailable(
            f"{training.models} models are trained; a replay of all steps cannot be compared with any of them"
        )
    due = swap.replayed_answer_losses
    if due is not None and not training.is_cut:
        _raise_if_worse(swap.answer_losses, due, "the true answer")
    _compare_texts(swap)
    if training.is_endless:
        raise Failure(
            "the trained model rarely writes the end token after its answers", "the end token, which has a label"
        )
    if due is not None and training.is_cut and is_worse(swap.answer_losses, due):
        raise Unavailable("the time limit ended its training early, so its loss cannot be compared")


def _compare_texts(swap: TrainingSwap) -> None:
    """Compares the losses of all labelled tokens, which must differ by more than half of what the reference learned.

    While a loss falls fast, one or two steps make a large difference.
    """
    own, replayed, base = swap.losses, swap.replayed_losses, swap.base_losses
    if own is None or replayed is None or base is None:
        return
    if (own - replayed).mean() > (base - replayed).mean() / 2:
        _raise_if_worse(own, replayed, "its texts")


def _raise_if_worse(losses: torch.Tensor, replayed: torch.Tensor, what: str) -> None:
    if is_worse(losses, replayed):
        seen = (
            f"the loss of {what} is {losses.mean():.3f} nat a token, {compare(losses, replayed)} against the reference"
        )
        raise Failure(seen, f"{replayed.mean():.3f}, as the reference on the same batches at the same rates")


@check(
    "TRN-106",
    "Training uses the whole data set, not a few rows of it",
    level=Level.CONTRACT,
    why="A few rows, each seen many times, are memorised; other right answers come from the base.",
    remedy="Train on all of the training data.",
    depends_on=("TRN-103",),
)
def data_are_shown(evidence: Evidence) -> None:
    """TRN-106: Counts distinct texts, and how often each is shown."""
    if few := _few_texts(evidence):
        raise Failure(few, f"the {evidence.examples.data} questions of the data")


def _few_texts(evidence: Evidence) -> str:
    """Describes how few texts are shown, and how often; empty if they are enough."""
    examples = evidence.examples
    shown = sum(step.texts for step in evidence.training.steps)
    distinct = max(examples.distinct, len(examples.texts))  # one text may hold several questions
    if distinct >= _FEW * examples.data or shown <= _OFTEN * examples.distinct:
        return ""
    return f"training shows {distinct} texts, each {shown / examples.distinct:.0f} times"


@check(
    "TRN-107",
    "No step shows rows of the previous step again",
    level=Level.CONTRACT,
    why="Workers or processes that read the same rows show each batch several times, and other rows are left out.",
    remedy="Give each worker and each process its own share of the rows.",
    depends_on=("TRN-102",),
    source="TrainCheck",
)
def batches_are_not_repeated(training_steps: TrainingSteps) -> None:
    """TRN-107: Measures the fraction of rows that occur earlier in the same step, or in the previous step."""
    shown = [[row for row in step.rows if row is not None] for step in training_steps.steps]
    largest, different = max(len({*rows}) for rows in shown), len({row for rows in shown for row in rows})
    if different < _MANY_ROWS * largest or not different:
        raise Unavailable(f"training shows {different} different rows, at most {largest} in a step")
    before: list[int] = []
    repeated = []
    for rows in shown:
        earlier = set(before)
        for row in rows:
            repeated.append(row in earlier)
            earlier.add(row)
        before = rows
    share = sum(repeated) / len(repeated)
    if margins.exceeds(share, _REPEATED):
        seen = f"{share:.0%} of the rows of a step occur twice in the step, or also in the previous one"
        raise Failure(seen, f"{_REPEATED:.0%} at most")
