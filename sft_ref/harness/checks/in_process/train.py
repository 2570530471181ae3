"""Checks of the stage train: from rows to an adapter."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace

import torch

from sft_ref.harness.core import margins, tolerance
from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, NotGiven, Unavailable
from sft_ref.harness.core.implementation import Batch, Gradients, TaskRow, Trainables, TrainingResult
from sft_ref.harness.core.paired import compare, has_fallen, is_worse
from sft_ref.harness.core.training_examples import examples_of
from sft_ref.harness.instruments.losses import forward, row_losses
from sft_ref.harness.recorders.in_process.context import Context
from sft_ref.harness.recorders.in_process.reference_run import lora_of
from sft_ref.reference.precision import POLICIES
from sft_ref.reference.settings import Settings
from sft_ref.reference.tokens import IGNORE_INDEX

DRILL = Settings(steps=2, batch_size=4, rank=4, alpha=8)
"""The shortest training that moves something."""


_SEEN = 64
"""Rows of training at most whose losses are compared."""


def _drill(context: Context, name: str, *, noise: int = 0, seed: int = 0) -> TrainingResult:
    """Trains for two steps, after the random numbers have been drawn from elsewhere."""
    torch.manual_seed(noise)
    settings = Settings(steps=DRILL.steps, batch_size=DRILL.batch_size, rank=DRILL.rank, alpha=DRILL.alpha, seed=seed)
    return context.call(context.implementation.train, context.folder / name, context.probes, settings)


@check(
    "TRN-001",
    "Training saves the adapter in the folder it is given, from any working directory, and writes nothing elsewhere",
    level=Level.CONTRACT,
    why="An adapter in the working directory is not found by a program that starts in another one.",
    remedy="Write to the folder that is passed, and to no path relative to the working directory.",
    source="S9",
)
def adapter_lies_where_it_was_asked_for(context: Context) -> None:
    """Trains from an empty working directory."""
    elsewhere = context.folder / "elsewhere"
    elsewhere.mkdir()
    with contextlib.chdir(elsewhere):
        _drill(context, "asked_for")
    stray = sorted(str(path.relative_to(elsewhere)) for path in elsewhere.rglob("*"))
    if stray:
        raise Failure(f"{', '.join(stray[:3])} was written to the working directory", "no file there")
    if not (context.folder / "asked_for" / "adapter_config.json").is_file():
        raise Failure("there is no adapter_config.json", "one in the folder that was passed")


@check(
    "TRN-002",
    "Every reported loss is finite and above 0",
    why="A logger that filters NaN shows 0.0 instead: training looks perfect, and nothing is learned.",
    remedy="Do not filter NaN from the log (logging_nan_inf_filter=False), and train in a dtype with enough range.",
    source="S6",
)
def losses_are_finite_and_positive(context: Context) -> None:
    """Cross entropy is 0 for no real model: there, a 0 stands for NaN or for nothing supervised."""
    losses = context.trained.losses
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
def every_adapted_layer_moved(context: Context) -> None:
    """Scaling times B @ A of what training left."""
    if not context.deltas:
        raise Failure("the trained tensors contain no pair of lora_A and lora_B", "at least one")
    for name, delta in context.deltas.items():
        norm = delta.norm().item()
        if not (math.isfinite(norm) and norm > 0):
            raise Failure(f"the delta has norm {norm}", "finite and above 0", name)


@check(
    "TRN-004",
    "Training lowers the loss of the true answer on unseen questions",
    why="A learning rate that is too low, labels that are not the answer, or random updates leave the model no"
    " better than the base.",
    remedy="Raise the learning rate or the number of steps, and inspect the labels.",
    depends_on=("TRN-002", "TRN-003"),
)
def true_answer_becomes_likelier(context: Context) -> None:
    """What training left is put onto the base by us: neither saving nor loading can be at fault.

    Of rows of one's own, those of training may show it as well: few rows teach no answer to other questions.
    """
    fall = compare(context.base_losses, context.trained_losses)
    if context.task.is_own and not has_fallen(fall):
        seen = context.call(context.implementation.training_batch, context.train_rows[-_SEEN:])
        fall = compare(row_losses(context.base_model, seen), row_losses(context.trained_model, seen))
    if not has_fallen(fall):
        raise Failure(f"the loss falls by {fall}", f"more than {tolerance.FALL} nat, t above {tolerance.PAIRED_T}")


@check(
    "TRN-006",
    "Gradients do not depend on micro-batches or on gradient checkpointing",
    why="If the loss is averaged per micro-batch, the weight of a token depends on its micro-batch, and the gradient"
    " grows with their number.",
    remedy="Divide once by the number of labelled tokens in the whole step (num_items_in_batch).",
    source="O1, A14, S7; transformers#34191",
)
def gradients_do_not_depend_on_the_split(context: Context) -> None:
    """One step over eight rows of unlike lengths: whole, in four parts, and with recomputed activations."""
    implementation = context.implementation
    if not isinstance(implementation, Gradients):
        raise Unavailable("the gradients of a step are unknown: give the implementation a method gradients")
    whole = context.call(implementation.gradients, context.probes, micro_batches=1, checkpointing=False)
    for name, gradient in whole.items():
        if not (gradient.isfinite().all() and gradient.any()):
            raise Failure("a gradient is zero or not finite", "finite and not zero", name)
    for micro_batches, checkpointing in ((4, False), (1, True)):
        case = f"{micro_batches} micro-batches" + (", recomputed activations" if checkpointing else "")
        other = context.call(
            implementation.gradients, context.probes, micro_batches=micro_batches, checkpointing=checkpointing
        )
        for name, gradient in whole.items():
            if name not in other:
                raise Failure("a gradient is missing", "the same as for the whole batch", f"{name}, {case}")
            error = ((other[name] - gradient).norm() / gradient.norm()).item()
            if margins.exceeds(error, tolerance.SUMS):
                raise Failure(f"a gradient differs by {error:.3g} of its norm", tolerance.SUMS, f"{name}, {case}")


@check(
    "TRN-007",
    "The trainable tensors of each policy have its adapter dtype",
    why="A gradient scaler refuses 16-bit gradients, so that fp16-mixed needs an adapter in fp32; any other dtype than"
    " the policy's is not the one that is recorded and loaded.",
    remedy="Cast the adapter to the policy's adapter dtype, whatever the dtype of the base or of autocast.",
    source="P12, P13; peft#1706, trl#4901",
)
def trainables_have_the_adapter_dtype(context: Context) -> None:
    """Asks for the tensors that the optimizer would get; no training is needed, nor a GPU."""
    implementation = context.implementation
    if not isinstance(implementation, Trainables):
        raise Unavailable("what each policy trains is unknown: give the implementation a method trainables")
    for policy in POLICIES.values():
        found = context.call(implementation.trainables, policy.name)
        if not found:
            raise Failure("there is nothing to train", "an adapter", policy.name)
        for name, dtype in found.items():
            if dtype != getattr(torch, policy.adapter):
                raise Failure(f"the tensor is {dtype}", f"torch.{policy.adapter}", f"{name}, policy {policy.name}")


@check(
    "TRN-008",
    "The same seed gives a bit-identical adapter, and another seed a different one",
    level=Level.CONTRACT,
    why="A result that cannot be reproduced cannot be compared with another.",
    remedy="Set the seed before the adapter is initialised, and pass the same seed to the shuffling of rows.",
)
def seed_decides_the_adapter(context: Context) -> None:
    """Trains thrice for two steps, with other random numbers drawn before each."""
    one = _drill(context, "seed_0", noise=1).adapter
    again = _drill(context, "seed_0_again", noise=2).adapter
    other = _drill(context, "seed_1", noise=1, seed=1).adapter
    for name, tensor in one.items():
        if name not in again or not torch.equal(tensor, again[name]):
            raise Failure("the tensor differs for the same seed", "identical bits", name)
    if all(torch.equal(tensor, other[name]) for name, tensor in one.items() if name in other):
        raise Failure("seeds 0 and 1 give the same adapter", "different ones")


@check(
    "TRN-027",
    "The loss of true answers on unseen questions is as low as after the reference's training on the same tokens",
    why="A falling training loss may be memorisation: training may see too few rows, or half of what it should.",
    remedy="Compare with the reference's training: which rows are seen, the schedule, the normalisation of the loss.",
    depends_on=("TRN-004",),
    aliases=("TRN-010",),
)
def answers_are_as_likely_as_after_the_reference(context: Context) -> str | None:
    """Against a training that is shared; where that differs in more than the code, against one made for it.

    Both trainings minimise the same loss: a declared label smoothing is also that of the training that is made.
    """
    reference_run = context.reference_run
    if reference_run is None:
        raise Unavailable("there is no reference run to compare with")
    batch = _targets_only(context, context.fresh_rows)
    own = row_losses(context.trained_model, batch)
    shared = reference_run.losses
    with margins.recorded() as shares:  # they count only if this comparison decides
        worse = shared is None or is_worse(own, shared)
    if not worse:
        margins.record(max(shares))
        return None
    settings = context.trained.settings or context.settings
    smoothing = context.trained.label_smoothing
    if smoothing is None:
        raise Unavailable("training declares another loss than the reference's")
    if context.frozen:
        raise Unavailable("tensors of the adapter are frozen: their random start decides what is learned")
    conditions = (examples_of(context.batch), settings, context.call(lora_of, context.stored), smoothing)
    if shared is None or conditions != reference_run.conditions:
        rows = examples_of(context.call(context.implementation.training_batch, context.train_rows))
        other_model = reference_run.train(rows, context.implementation.base, context.stored, settings, smoothing)
        other = row_losses(other_model, batch)
        if not is_worse(own, other):
            if shared is None:
                return None
            allowed = f"{shared.mean():.3f} nat a token of the true answer"
            return f"{own.mean():.3f} nat a token, {allowed} with other settings, which are slow, and not a fault"
        due = other
    else:
        margins.record(max(shares))
        due = shared
    allowed = f"{due.mean():.3f} nat a token of the true answer"
    raise Failure(f"{own.mean():.3f}, {compare(own, due if shared is None else shared)}", allowed, f"{len(own)} rows")


@check(
    "TRN-011",
    "Logits at the end of training are those of the base plus what was trained, up to rounding",
    why="If training runs on another base, quantised, rounded or with other positions, the adapter corrects errors that"
    " are gone once it is loaded onto the base.",
    remedy="Train on the base that is loaded afterwards, in the same precision and with the same configuration.",
    depends_on=("TRN-003",),
)
def model_in_memory_is_base_plus_addition(context: Context) -> None:
    """Against the base that is loaded by us, with the trained tensors put into it."""
    found = context.trained.logits
    if found is None:
        raise Unavailable("the logits at the end of training are unknown: give TrainingResult.logits, or forward")
    seen = context.batch.attention_mask.bool()
    if found.shape[:2] != seen.shape:
        raise Unavailable("the logits at the end of training are those of another batch")
    stored = {dtype for names in context.trained.dtypes.values() for dtype in names.values()}
    dtypes = [dtype for dtype in tolerance.ROUNDING if tolerance.name_dtype(dtype) in stored]
    allowed = max(map(tolerance.rounding, dtypes or [found.dtype]))
    due = forward(context.trained_model, context.batch).float().cpu()
    apart = tolerance.apart(found.float()[seen], due[seen])
    if margins.exceeds(apart, allowed):
        raise Failure(f"logits differ by {apart:.1e} of their spread", f"at most {allowed:.1e}")


def _targets_only(context: Context, rows: list[TaskRow]) -> Batch:
    """The batch of these rows, with labels behind the prompt alone."""
    batch = context.call(context.implementation.training_batch, rows)
    labels = batch.labels.clone()
    for row, (question, _) in enumerate(rows):
        prompt = context.prompt_of(question)
        labels[row, batch.attention_mask[row].nonzero().flatten()[: len(prompt)]] = IGNORE_INDEX
    return replace(batch, labels=labels)
