"""Checks of the stage load: from the folder to a model in memory."""

from __future__ import annotations

import copy
from typing import Any

import torch

from sft_ref.harness.core import margins, tolerance
from sft_ref.harness.core.check import PRECISION, Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.implementation import Batch
from sft_ref.harness.core.training_examples import examples_of
from sft_ref.harness.instruments import rotary
from sft_ref.harness.instruments.deltas import effective_delta, effective_weight, linears
from sft_ref.harness.instruments.losses import forward
from sft_ref.harness.recorders.in_process.context import Context
from sft_ref.reference.guards.names import plain


@check(
    "LOD-002",
    "The loaded model adds the trained delta to each adapted Linear, and nothing to the others",
    why="An untrained adapter, renamed keys, a lost scaling or a double merge change every answer without an error.",
    remedy="Keep what from_pretrained returns, look for missing and unexpected keys, and compare the scaling with"
    " alpha / rank.",
    depends_on=("TRN-003", "LOD-001"),
    source="A7, A8, A12; transformers#38627, peft#2574",
)
def effective_deltas_are_the_trained_ones(context: Context) -> None:
    """Applies each Linear to an identity matrix, with the adapter and without, whatever it is made of."""
    model = context.loaded_model
    for name, linear, module in linears(context.base_model, model):
        found, as_sum = context.call(effective_delta, linear, module, is_moved=name in context.starts)
        due = context.deltas.get(name, torch.zeros(()))
        weight = linear.weight.detach().norm().item() if as_sum else 0.0
        allowed = tolerance.WEIGHTS["bfloat16"] * (weight + due.norm().item())  # whatever its dtype, it may have been
        error = (found - due).norm().item()
        if margins.exceeds(error, allowed):
            ratio = f"the delta has norm {found.norm().item():.3g}, and differs by {error:.3g} from the trained one"
            raise Failure(ratio, f"norm {due.norm().item():.3g}, a difference of at most {allowed:.3g}", name)


@check(
    "LOD-004",
    "Merging the adapter into the base changes logits by rounding only",
    why="A merge in low precision, or a merge that adds the adapter twice, gives another model.",
    remedy="Merge once in fp32, and cast afterwards.",
    depends_on=("LOD-002",),
    source="A1, A12; peft#1388, litgpt#1224",
)
def merged_equals_unmerged(context: Context) -> None:
    """Merges a copy in float64, so that what differs is the merge, and not the order of sums on this processor."""
    model = copy.deepcopy(context.loaded_model).double()
    if not hasattr(model, "merge_and_unload"):
        raise Unavailable("the loaded model has no adapter that can be merged")
    apart = _logits_row_by_row(model, context)
    together = _logits_row_by_row(context.call(model.merge_and_unload), context)
    allowed = tolerance.logits("float32", apart)
    difference = (apart - together).abs().max().item()
    if margins.exceeds(difference, allowed):
        raise Failure(f"a logit differs by {difference:.3g}", f"at most {allowed:.3g}")


def _logits_row_by_row(model: Any, context: Context) -> torch.Tensor:  # noqa: ANN401
    """Logits of all tokens, (tokens, vocabulary), without padding: where it is masked, float64 overflows."""
    found = []
    for row in examples_of(context.batch):
        ids, labels = torch.tensor([row.ids]), torch.tensor([row.labels])
        found.append(forward(model, Batch(ids, torch.ones_like(ids), labels))[0])
    return torch.cat(found)


@check(
    "LOD-006",
    "Every loaded value is bit-identical to the saved one, cast once to the trained dtype",
    level=Level.CONTRACT,
    why="A weight can be rounded on the way, for example through fp16, while every dtype looks right.",
    remedy="Load in the trained dtype from the start; casting back does not restore the lost bits.",
    depends_on=("LOD-005",),
    source="P14, A1; peft#2421",
    claim=PRECISION,
)
def values_are_the_stored_ones(context: Context) -> None:
    """Base against its files, adapter against what was trained."""
    due = {name: tensor.detach() for name, tensor in context.base_model.named_parameters()}
    due |= {plain(name): tensor for name, tensor in context.trained.adapter.items()}
    for name, tensor in context.loaded_model.named_parameters():
        stored = due.get(plain(name))
        if stored is None:
            continue
        if not torch.equal(tensor.detach().cpu(), stored.to(tensor.dtype)):
            changed = (tensor.detach().cpu().float() - stored.float()).abs().max().item()
            raise Failure(f"values differ by up to {changed:.3g}", "identical bits", plain(name))


@check(
    "LOD-007",
    "Rotary frequencies, and cosine and sine at the last position, equal an fp32 recomputation",
    level=Level.CONTRACT,
    why="A frequency in 16 bits rotates distant positions by whole radians, while near ones look right.",
    remedy="Keep the rotary buffers in fp32 (cast parameters, not modules), and compute angles in fp32.",
    source="P7, P8; transformers#29285, transformers#28685",
    claim=PRECISION,
)
def rotary_embeddings_are_exact(context: Context) -> None:
    """Recomputes from the configuration in the base's own folder."""
    config = context.base_model.config
    due = rotary.frequencies(config)
    last = config.max_position_embeddings - 1
    found = list(rotary.embeddings(context.loaded_model))
    if not found:
        raise Unavailable("the loaded model has no rotary frequencies that can be read")
    for name, module in found:
        error = ((module.inv_freq.float().cpu() - due).abs() / due).max().item()
        if margins.exceeds(error, tolerance.WEIGHTS["float32"]):
            raise Failure(
                f"a frequency is off by {error:.2g} of its value", f"{tolerance.WEIGHTS['float32']:.2g}", plain(name)
            )
        turned = (last * due).repeat(2)
        for what, got, exact in zip(
            ("cosine", "sine"), rotary.angles(module, last), (turned.cos(), turned.sin()), strict=True
        ):
            error = (got - exact).abs().max().item()
            if margins.exceeds(error, tolerance.ANGLES):
                raise Failure(f"a {what} is off by {error:.3g}", tolerance.ANGLES, f"{plain(name)}, position {last}")


@check(
    "LOD-008",
    "The loaded model gives bit-identical logits to the model at the end of training",
    level=Level.CONTRACT,
    why="Otherwise the tested model is not the trained one: it has another attention backend, merge state or wrapper.",
    remedy="Load under the recorded policy, including its attention backend, and remove the wrappers of training.",
    depends_on=("LOD-006",),
    claim=PRECISION,
)
def logits_are_those_of_training(context: Context) -> None:
    """The same batch, threads and process; logits in memory at the end of training against logits after loading."""
    due = context.trained.logits
    if due is None:
        raise Unavailable("the logits at the end of training are unknown: give TrainingResult.logits, or forward")
    seen = context.batch.attention_mask.bool()
    if due.shape[:2] != seen.shape:
        raise Unavailable("the logits at the end of training are those of another batch")
    found, due = forward(context.loaded_model, context.batch).cpu()[seen], due[seen]
    if found.dtype != due.dtype or not torch.equal(found, due):
        difference = (found.float() - due.float()).abs().max().item()
        raise Failure(f"logits differ by up to {difference:.3g}", "identical bits")


@check(
    "LOD-009",
    "The whole effective weight of each Linear is the base's plus the trained addition",
    why="An addition is measured against the layer under it; if that layer is another, the sum is another model.",
    remedy="Load the base from the files it was trained from, in at least 16 bits, and change none of its weights.",
    depends_on=("LOD-002",),
)
def effective_weights_are_the_trained_ones(context: Context) -> None:
    """Applies each Linear to an identity matrix, and compares with the base that is loaded by us.

    Merged and cast to bf16, a weight is off by 0.2 % of its norm; in 4 bits by more than 10 %.
    """
    for name, linear, module in linears(context.base_model, context.loaded_model):
        due = linear.weight.detach().float() + context.deltas.get(name, torch.zeros(()))
        error = (context.call(effective_weight, module) - due).norm().item()
        allowed = tolerance.WEIGHTS["bfloat16"] * due.norm().item()  # whatever its dtype, it may have been rounded
        if margins.exceeds(error, allowed):
            raise Failure(f"the weight differs by {error:.3g}", f"at most {allowed:.3g}", name)
