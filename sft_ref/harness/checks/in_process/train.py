"""Checks of the stage train: from rows to an adapter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from sft_ref.harness.core import margins, tolerance
from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, NotGiven, Unavailable
from sft_ref.harness.core.implementation import TrainingResult
from sft_ref.harness.core.paired import compare, has_fallen, is_worse
from sft_ref.harness.evidence.in_process.trained_parts import (
    AnswerLosses,
    LogitsPair,
    LossesBeforeAndAfter,
    SeededAdapters,
    StepGradients,
    WrittenFiles,
)
from sft_ref.harness.instruments.deltas import pairs
from sft_ref.io.lora_config import CONFIG
from sft_ref.reference.precision import POLICIES
from sft_ref.reference.settings import Settings

_SAME = 1e-4
"""Relative difference below which two scalings are the same."""


@check(
    "TRN-001",
    "Training saves the adapter in the folder it is given, from any working directory, and writes nothing elsewhere",
    level=Level.CONTRACT,
    why="An adapter in the working directory is not found by a program that starts in another one.",
    remedy="Write to the folder that is passed, and to no path relative to the working directory.",
    source="S9",
)
def adapter_lies_where_it_was_asked_for(written_files: WrittenFiles) -> None:
    """TRN-001: Examines a training that starts in an empty working directory; the folder does not exist yet."""
    if stray := written_files.elsewhere:
        raise Failure(f"{', '.join(stray[:3])} was written to the working directory", "no file there")
    if not written_files.has_configuration:
        raise Failure(f"training saves no {CONFIG}", "one in the folder that was passed")


@check(
    "TRN-002",
    "Every reported loss is finite and above 0",
    why="A logger that filters NaN shows 0.0 instead: training looks perfect, and nothing is learned.",
    remedy="Do not filter NaN from the log (logging_nan_inf_filter=False), and train in a dtype with enough range.",
    source="S6",
)
def losses_are_finite_and_positive(trained: TrainingResult) -> None:
    """TRN-002: Rejects 0, since no real model has a cross-entropy of 0: it hides NaN, or no token is supervised."""
    losses = trained.losses
    if not losses:
        raise NotGiven("no loss is reported: give TrainingResult.losses")
    for step, loss in enumerate(losses, start=1):
        if not (math.isfinite(loss) and loss > 0):
            raise Failure(f"the loss at step {step} of {len(losses)} is {loss}", "finite and above 0")


@check(
    "TRN-003",
    "After training, every adapted Linear has a finite delta that is not zero",
    why="If the loss is not connected to the adapter, gradients are zero, missing or NaN, although the log may look"
    " normal.",
    remedy="Call backward on the computed loss. With gradient checkpointing, call enable_input_require_grads or pass"
    " use_reentrant=False.",
    source="A14, S7; open-unlearning#178",
)
def every_adapted_layer_moved(delta_norms: Mapping[str, float]) -> None:
    """TRN-003: Computes scaling times B @ A from the adapter at the end of training."""
    if not delta_norms:
        raise Failure("the trained tensors contain no pair of lora_A and lora_B", "at least one")
    for name, norm in delta_norms.items():
        if not (math.isfinite(norm) and norm > 0):
            raise Failure(f"the trained delta has norm {norm}", "finite and above 0", name)


@check(
    "TRN-013",
    "The adapter has the rank and the scaling of the settings",
    level=Level.CONTRACT,
    why="An adapter of another size or scaling is another experiment than the one that is reported.",
    remedy="Pass rank as r and alpha as lora_alpha; if other settings are meant, give TrainingResult.settings.",
    depends_on=("TRN-003",),
)
def adapter_is_that_of_the_settings(trained: TrainingResult, settings: Settings) -> None:
    """TRN-013: At least one module must have them, since patterns may change others; rsLoRA's scaling is allowed."""
    due = trained.settings or settings
    ranks = {a.shape[0] for a, _ in pairs(trained.adapter).values()}
    if due.rank not in ranks:
        raise Failure(f"the ranks are {sorted(ranks)}", f"{due.rank}, as in the settings")
    if not trained.scalings:
        raise NotGiven("the scalings in training are unknown: give TrainingResult.scalings")
    allowed = (due.alpha / due.rank, due.alpha / math.sqrt(due.rank))
    if not any(math.isclose(found, each, rel_tol=_SAME) for found in trained.scalings.values() for each in allowed):
        seen = f"the scalings are {sorted({*trained.scalings.values()})}"
        raise Failure(seen, f"{allowed[0]:.4g}, alpha / rank of the settings")


@check(
    "TRN-004",
    "Training lowers the loss of the true answer on unseen questions",
    why="A learning rate that is too low, labels that are not the answer, or random updates leave the model no"
    " better than the base.",
    remedy="Raise the learning rate or the number of steps, and inspect the labels.",
    depends_on=("TRN-002", "TRN-003"),
)
def true_answer_becomes_likelier(losses_before_and_after: Sequence[LossesBeforeAndAfter]) -> None:
    """TRN-004: Accepts a lower loss on training rows as well, if the user supplies the rows."""
    for losses in losses_before_and_after:
        fall = compare(losses.base, losses.trained)
        if has_fallen(fall):
            return
    raise Failure(
        f"the loss of the true answer falls by {fall}", f"more than {tolerance.FALL} nat, t above {tolerance.PAIRED_T}"
    )


@check(
    "TRN-006",
    "Gradients do not depend on micro-batches or on gradient checkpointing",
    why="If the loss is averaged per micro-batch, the weight of a token depends on its micro-batch, and the gradient"
    " grows with their number.",
    remedy="Divide once by the number of labelled tokens in the whole step (num_items_in_batch).",
    source="O1, A14, S7; transformers#34191",
)
def gradients_do_not_depend_on_the_split(step_gradients: StepGradients) -> None:
    """TRN-006: Runs one step over eight rows of unequal length: whole, in four parts, and recomputing activations."""
    for name, gradient in step_gradients.whole.items():
        if not (gradient.isfinite().all() and gradient.any()):
            raise Failure("a gradient is zero or not finite", "finite and not zero", name)
    for case, other in step_gradients.split.items():
        for name, gradient in step_gradients.whole.items():
            if name not in other:
                raise Failure("a gradient is missing that the whole batch has", "the same gradients", f"{name}, {case}")
            error = ((other[name] - gradient).norm() / gradient.norm()).item()
            if margins.exceeds(error, tolerance.SUMS):
                raise Failure(
                    f"a gradient differs by {error:.3g} of its norm from that of the whole batch",
                    tolerance.SUMS,
                    f"{name}, {case}",
                )


@check(
    "TRN-007",
    "The trainable tensors of each policy have its adapter dtype",
    why="A gradient scaler refuses 16-bit gradients, so that fp16-mixed needs an adapter in fp32; a dtype other than"
    " the policy's is not the one that is recorded and loaded.",
    remedy="Cast the adapter to the policy's adapter dtype, whatever the dtype of the base or of autocast.",
    source="P12, P13; peft#1706, trl#4901",
)
def trainables_have_the_adapter_dtype(trainable_dtypes: Mapping[str, Mapping[str, torch.dtype]]) -> None:
    """TRN-007: Examines the tensors that the optimizer would receive."""
    for policy, found in trainable_dtypes.items():
        if not found:
            raise Failure("the model has no trainable tensor", "an adapter", policy)
        due = POLICIES[policy].adapter
        for name, dtype in found.items():
            if dtype != getattr(torch, due):
                raise Failure(f"a trainable tensor is {dtype}", f"torch.{due}", f"{name}, policy {policy}")


@check(
    "TRN-008",
    "The same seed gives a bit-identical adapter, and another seed a different one",
    level=Level.CONTRACT,
    why="A result that cannot be reproduced cannot be compared with another.",
    remedy="Set the seed before the adapter is initialised, and pass the same seed to the shuffling of rows.",
)
def seed_decides_the_adapter(seeded_adapters: SeededAdapters) -> None:
    """TRN-008: Compares three trainings of two steps, each after drawing other random numbers."""
    one, again, other = seeded_adapters.one, seeded_adapters.again, seeded_adapters.other
    for name, tensor in one.items():
        if name not in again or not torch.equal(tensor, again[name]):
            raise Failure("a tensor differs between two trainings with the same seed", "identical bits", name)
    if all(torch.equal(tensor, other[name]) for name, tensor in one.items() if name in other):
        raise Failure("seeds 0 and 1 give the same adapter", "different ones")


@check(
    "TRN-014",
    "Another learning rate gives another adapter",
    level=Level.CONTRACT,
    why="Settings that are ignored make every comparison of settings a comparison of a training with itself.",
    remedy="Pass the learning rate to the optimizer; if another is meant, give TrainingResult.settings.",
    depends_on=("TRN-008",),
)
def learning_rate_decides_the_adapter(seeded_adapters: SeededAdapters) -> None:
    """TRN-014: Compares two trainings of two steps that differ in their learning rate."""
    one, faster = seeded_adapters.one, seeded_adapters.faster
    if faster is None:
        raise Unavailable("the implementation says that it used other settings")
    if all(torch.equal(tensor, faster[name]) for name, tensor in one.items() if name in faster):
        raise Failure("three times the learning rate gives the same adapter", "a different one")


@check(
    "TRN-027",
    "The loss of true answers on unseen questions is as low as after the reference's training on the same tokens",
    why="A falling training loss may be memorisation: training may see too few rows, or half of what it should.",
    remedy="Compare with the reference's training: which rows are seen, the schedule, the normalisation of the loss.",
    depends_on=("TRN-004",),
    aliases=("TRN-010",),
)
def answers_are_as_likely_as_after_the_reference(answer_losses: AnswerLosses) -> str | None:
    """TRN-027: Compares with a shared training of the reference, or if conditions differ, with a dedicated one."""
    own, shared, other = answer_losses.own, answer_losses.shared, answer_losses.same_conditions
    with margins.recorded() as shares:  # these ratios count only if this comparison decides
        worse = shared is None or is_worse(own, shared)
    if not worse:
        margins.record(max(shares))
        return None
    if answer_losses.unknown:
        raise Unavailable(answer_losses.unknown)
    due = shared if other is None else other
    if due is None:
        raise Unavailable("there is no training of the reference to compare with")
    if other is None:
        margins.record(max(shares))
    elif not is_worse(own, other):
        if shared is None:
            return None
        losses = f"{own.mean():.3f} nat a token, and {shared.mean():.3f} with other settings"
        return f"the loss of true answers is {losses}: the settings are slow, which is no fault"
    gap = compare(own, due if shared is None else shared)
    seen = f"the loss of true answers is {own.mean():.3f} nat a token, {gap} against the reference"
    raise Failure(seen, f"{due.mean():.3f}", f"{len(own)} rows")


@check(
    "TRN-011",
    "Logits at the end of training are those of the base plus what was trained, up to rounding",
    why="If training runs on a different base, quantised, rounded or with other positions, the adapter"
    " corrects errors that are gone once it is loaded onto the base.",
    remedy="Train on the base that is loaded afterwards, in the same precision and with the same configuration.",
    depends_on=("TRN-003",),
)
def model_in_memory_is_base_plus_addition(trained: TrainingResult, final_logits: LogitsPair) -> None:
    """TRN-011: Compares with a base that the harness loads and adds the trained tensors to."""
    found, due = final_logits.observed, final_logits.expected
    stored = {dtype for names in trained.dtypes.values() for dtype in names.values()}
    dtypes = [dtype for dtype in tolerance.ROUNDING if tolerance.name_dtype(dtype) in stored]
    allowed = max(map(tolerance.rounding, dtypes or [found.dtype]))
    apart = tolerance.apart(found.float(), due)
    if margins.exceeds(apart, allowed):
        raise Failure(f"logits differ by {apart:.1e} of their spread", f"at most {allowed:.1e}")
