"""Checks of the stage load: from the folder to a model in memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from sft_ref.harness.core import margins, tolerance
from sft_ref.harness.core.check import PRECISION, Level, check
from sft_ref.harness.core.findings import Failure
from sft_ref.harness.evidence.in_process.trained_parts import (
    DeltaError,
    LogitsPair,
    RotaryError,
    SecondLoad,
    WeightError,
)


@check(
    "LOD-002",
    "The loaded model adds the trained delta to each adapted Linear, and nothing to the others",
    why="An untrained adapter, renamed keys, a lost scaling or a double merge change every answer without an error.",
    remedy="Keep what from_pretrained returns, look for missing and unexpected keys, and compare the scaling with"
    " alpha / rank.",
    depends_on=("TRN-003", "LOD-001"),
    source="A7, A8, A12; transformers#38627, peft#2574",
)
def effective_deltas_are_the_trained_ones(delta_errors: Sequence[DeltaError]) -> None:
    """LOD-002: Allows rounding to 16 bits in every layer, whatever its dtype, and judges the worst layer."""
    if worst := _worst(delta_errors):
        allowed = _rounding(worst)
        seen = f"the loaded delta has norm {worst.observed:.3g}, and differs by {worst.error:.3g} from the trained one"
        raise Failure(seen, f"norm {worst.expected:.3g}, a difference of at most {allowed:.3g}", worst.name)


def _worst(errors: Sequence[DeltaError]) -> DeltaError | None:
    """Returns the delta that exceeds rounding most; None if none does."""
    exceeding = [each for each in errors if margins.exceeds(each.error, _rounding(each))]
    return max(exceeding, key=lambda each: each.error / (_rounding(each) or math.ulp(0.0)), default=None)


def _rounding(each: DeltaError) -> float:
    return tolerance.WEIGHTS["bfloat16"] * (each.rounded_with + each.expected)


@check(
    "LOD-011",
    "A second adapter, loaded in the same process from a folder that was moved, is the one in the folder, and leaves"
    " the first model as it was",
    why="A cache by the name of the base, a path that training noted, or a base that two adapters share, answers with"
    " another adapter.",
    remedy="Load a new copy of the base for each adapter, or name each adapter and activate it for each request.",
    depends_on=("LOD-002",),
    source="peft#1523, peft#940",
)
def a_second_adapter_is_its_own(second_load: SecondLoad) -> None:
    """LOD-011: Survivable, since a process that loads one adapter answers with it. Its scaling is not an integer."""
    if worst := _worst(second_load.errors):
        seen = (
            f"the second adapter's delta has norm {worst.observed:.3g}, and differs by {worst.error:.3g} from its own"
        )
        due = f"norm {worst.expected:.3g}, a difference of at most {_rounding(worst):.3g}"
        raise Failure(seen, due, worst.name, survivable=True)
    change = (second_load.after - second_load.before).abs().max().item()
    if margins.exceeds(change, tolerance.LOSS):
        seen = f"the second load changes the first model's loss of a row by {change:.3g} nat a token"
        raise Failure(seen, f"at most {tolerance.LOSS:.3g}", survivable=True)


@check(
    "LOD-004",
    "Merging the adapter into the base changes logits by rounding only",
    why="A merge in low precision, or a merge that adds the adapter twice, gives another model.",
    remedy="Merge once in fp32, and cast afterwards.",
    depends_on=("LOD-002",),
    source="A1, A12; peft#1388, litgpt#1224",
)
def merged_equals_unmerged(merged_logits: LogitsPair) -> None:
    """LOD-004: Compares logits in float64."""
    together, apart = merged_logits.observed, merged_logits.expected
    allowed = tolerance.logits("float32", apart)
    difference = (apart - together).abs().max().item()
    if margins.exceeds(difference, allowed):
        raise Failure(f"merging changes a logit by {difference:.3g}", f"at most {allowed:.3g}")


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
def values_are_the_stored_ones(changed_values: Mapping[str, float]) -> None:
    """LOD-006: Compares the base with its files, and the adapter with the trained one."""
    for name, change in changed_values.items():
        raise Failure(f"loaded values differ from the saved ones by up to {change:.3g}", "identical bits", name)


@check(
    "LOD-007",
    "Rotary frequencies, and cosine and sine at the last position, equal an fp32 recomputation",
    level=Level.CONTRACT,
    why="A frequency in 16 bits rotates distant positions by whole radians, while near ones look right.",
    remedy="Keep the rotary buffers in fp32 (cast parameters, not modules), and compute angles in fp32.",
    source="P7, P8; transformers#29285, transformers#28685",
    claim=PRECISION,
)
def rotary_embeddings_are_exact(rotary_errors: Sequence[RotaryError]) -> None:
    """LOD-007: Recomputes the values from the configuration in the base's own folder."""
    for each in rotary_errors:
        if margins.exceeds(each.frequency, tolerance.WEIGHTS["float32"]):
            seen = f"a rotary frequency is off by {each.frequency:.2g} of its value"
            raise Failure(seen, f"{tolerance.WEIGHTS['float32']:.2g}", each.name)
        for what, error in (("cosine", each.cosine), ("sine", each.sine)):
            if margins.exceeds(error, tolerance.ANGLES):
                raise Failure(f"a {what} is off by {error:.3g}", tolerance.ANGLES, f"{each.name}, position {each.last}")


@check(
    "LOD-008",
    "The loaded model gives bit-identical logits to the model at the end of training",
    level=Level.CONTRACT,
    why="Otherwise the tested model is not the trained one: it has another attention backend, merge state or wrapper.",
    remedy="Load under the recorded policy, including its attention backend, and remove the wrappers of training.",
    depends_on=("LOD-006",),
    claim=PRECISION,
)
def logits_are_those_of_training(loaded_logits: LogitsPair) -> None:
    """LOD-008: Compares the model at the end of training with the loaded one: same batch, threads and process."""
    found, due = loaded_logits.observed, loaded_logits.expected
    if found.dtype != due.dtype or not torch.equal(found, due):
        difference = (found.float() - due.float()).abs().max().item()
        raise Failure(f"logits differ by up to {difference:.3g} from those at the end of training", "identical bits")


@check(
    "LOD-009",
    "The whole effective weight of each Linear is the base's plus the trained addition",
    why="The adapter was trained on top of a certain layer; on a different layer, the sum is a different model.",
    remedy="Load the base from the files it was trained from, in at least 16 bits, and change none of its weights.",
    depends_on=("LOD-002",),
)
def effective_weights_are_the_trained_ones(weight_errors: Sequence[WeightError]) -> None:
    """LOD-009: Allows a weight merged and cast to bf16, off by 0.2 % of its norm; 4 bits are off by more than 10 %."""
    for each in weight_errors:
        allowed = tolerance.WEIGHTS["bfloat16"] * each.norm  # a weight of any dtype may have been rounded
        if margins.exceeds(each.error, allowed):
            raise Failure(f"the effective weight differs by {each.error:.3g}", f"at most {allowed:.3g}", each.name)
