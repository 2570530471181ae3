"""Checks of the stage artifact: dtypes and values of an adapter's tensors, and embedding rows for its tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sft_ref.harness.core import tolerance
from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.adapter import AdapterEvidence
from sft_ref.io.tensor_headers import EIGHT, READABLE


@check(
    "ART-231",
    "Tensors have a floating-point dtype",
    why="Integers, and floats of fewer than 8 bits, are meaningless without their quantisation scales.",
    remedy="Save the adapter in float32, bfloat16 or float16, before any quantisation.",
    depends_on=("ART-204", "ART-205"),
)
def tensors_are_floats(evidence: AdapterEvidence) -> None:
    """ART-231: Reads the dtypes from the file headers."""
    evidence.files.check_readable()
    others = {name: each.dtype for name, each in evidence.files.headers.items() if each.dtype not in READABLE}
    _fail_where(others, evidence, "F32, BF16 or F16")


@check(
    "ART-232",
    "Tensors have 16 bits or more",
    why="With 8 bits, values are off by several percent.",
    remedy="Save the adapter in float32, bfloat16 or float16.",
    level=Level.CONTRACT,
    depends_on=("ART-231",),
)
def tensors_have_16_bits(evidence: AdapterEvidence) -> None:
    """ART-232: Reads the dtypes from the file headers."""
    evidence.files.check_readable()
    eight = {name: each.dtype for name, each in evidence.files.headers.items() if each.dtype in EIGHT}
    _fail_where(eight, evidence, "F32, BF16 or F16")


@check(
    "ART-235",
    "Every token of the tokenizer has a row in the embedding",
    why="Rows of added tokens that are not saved are random after the embedding is resized.",
    remedy="Save the embedding with the adapter (save_embedding_layers=True, or modules_to_save), or train its rows.",
    depends_on=("ART-204", "ART-205"),
)
def tokens_have_rows(evidence: AdapterEvidence) -> None:
    """ART-235: Examines the adapter's own tokenizer; the padding token needs no row."""
    if evidence.tokenizer is None or evidence.expected is None:
        raise Unavailable("the tokenizer was not examined")
    if lost := evidence.tokenizer.without_row:
        seen = (
            f"the tokenizer has {len(lost)} token{'s' * (len(lost) > 1)} more than the embedding has rows"
            f" ({evidence.expected.rows}), and the file has no rows for them"
        )
        raise Failure(seen, "a row for each token", lost[0])


@check(
    "ART-236",
    "The adapter adds something to the base",
    why="A scaling of zero, or a product of zero matrices, adds nothing, whatever was trained.",
    remedy="Set lora_alpha and alpha_pattern as in training, or save the trained tensors again.",
    depends_on=("ART-201", "ART-211", "ART-221", "ART-002", "ART-003", "ART-231"),
)
def adapter_adds_something(evidence: AdapterEvidence) -> str | None:
    """ART-236: Computes scaling times B A of each pair; ART-003 reports a zero lora_B."""
    evidence.files.check_readable()
    if not evidence.pairs or evidence.values is None:
        raise Unavailable("there are no pairs of matrices that can be multiplied")
    dead = [each for each in evidence.pairs if each.is_dead]
    unscaled = [each for each in dead if each.scaling == 0]
    if not dead:
        return None
    why = f"the scaling is 0 in {len(unscaled)} of {len(evidence.pairs)} pairs" if unscaled else "their product is 0"
    is_whole = all(".lora_" in name for name in evidence.values)
    if len(dead) == len(evidence.pairs) and is_whole:
        raise Failure(f"the adapter adds nothing: {why}", "a product that is not zero", dead[0].module)
    return f"{len(dead)} of {len(evidence.pairs)} pairs add nothing, {dead[0].module} first: {why}"


@check(
    "ART-237",
    "An adapter that is merged into the base survives rounding to the base's format",
    level=Level.CONTRACT,
    why="A merged weight is rounded to its stored format, and quantised again in a quantised base.",
    remedy="Merge into the base's weights in float32 or bfloat16, or keep the adapter apart.",
    depends_on=("ART-236",),
    source="peft#2421, litgpt#1224",
)
def base_format_keeps_a_merge(evidence: AdapterEvidence) -> str | None:
    """ART-237: Compares norms over all modules; only gives advice, since an unmerged adapter loses nothing."""
    pairs = [each for each in evidence.pairs or () if each.rounding is not None and not each.is_dead]
    if not pairs:
        raise Unavailable(
            f"rounding to {evidence.base_format or 'the base'} cannot be computed without the base's weights"
        )
    shares = [(each.rounding or 0.0) / each.addition for each in pairs]
    share = math.hypot(*(each.rounding or 0.0 for each in pairs)) / math.hypot(*(each.addition for each in pairs))
    if share <= tolerance.DROWNED:
        return None
    return (
        f"merging into the base's format ({evidence.base_format}) loses the adapter: the rounding error is {share:.2g}"
        f" times what the adapter adds, {min(shares):.2g} to {max(shares):.2g} in {len(pairs)} modules"
    )


def _fail_where(found: Mapping[str, str], evidence: AdapterEvidence, allowed: str) -> None:
    if found:
        dtypes = ", ".join(sorted(set(found.values())))
        raise Failure(
            f"{len(found)} of {len(evidence.files.headers)} tensors have the dtype {dtypes}", allowed, min(found)
        )
