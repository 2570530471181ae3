"""Checks of the artifact: the numbers in an adapter's tensors, and the rows that its tokens need."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.adapter import AdapterEvidence, TensorValues
from sft_ref.io.tensor_headers import EIGHT, READABLE

_ZERO_AT_FIRST = re.compile(r"\.lora_(B(?:\.weight)?|embedding_A)$")
"""The matrix of a pair that begins as zero."""


@check(
    "ART-231",
    "Tensors have a floating-point dtype",
    why="Integers, and floats of fewer than 8 bits, are meaningless without their quantisation scales.",
    remedy="Save the adapter in float32, bfloat16 or float16, before any quantisation.",
    depends_on=("ART-204", "ART-205"),
)
def tensors_are_floats(evidence: AdapterEvidence) -> None:
    """ART-231: by the headers."""
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
    """ART-232: by the headers."""
    evidence.files.check_readable()
    eight = {name: each.dtype for name, each in evidence.files.headers.items() if each.dtype in EIGHT}
    _fail_where(eight, evidence, "F32, BF16 or F16")


@check(
    "ART-233",
    "All values are finite",
    why="One NaN or infinity makes every answer NaN.",
    remedy="Train again at a lower rate or in bfloat16, and save in float32 or bfloat16: float16 overflows at 65504.",
    depends_on=("ART-204", "ART-205"),
    core=True,
)
def numbers_are_finite(evidence: AdapterEvidence) -> None:
    """ART-233: in every tensor."""
    values = _values(evidence)
    bad = {name: each for name, each in values.items() if each.nonfinite}
    if bad:
        first = min(bad)
        dtype = evidence.files.headers[first].dtype
        seen = f"{len(bad)} of {len(values)} tensors hold NaN or infinity, stored as {dtype}"
        if dtype == "F16":
            seen += ": float16 ends at 65504"
        raise Failure(seen, "finite numbers", f"{first}: {bad[first].nonfinite} numbers")


@check(
    "ART-234",
    "Training changed the adapter",
    why="lora_B starts at zero; while it is zero, the adapter has no effect.",
    remedy="Check that the adapter's parameters were trained, and save after training.",
    depends_on=("ART-204", "ART-205", "ART-212"),
    core=True,
)
def adapter_has_moved(evidence: AdapterEvidence) -> str | None:
    """ART-234: the matrices that begin as zero."""
    values = _values(evidence)
    began = {name: each for name, each in values.items() if _ZERO_AT_FIRST.search(name)}
    zero = [name for name, each in began.items() if not each.largest and not each.nonfinite]
    whole = [name for name in values if ".lora_" not in name]
    if zero and len(zero) == len(began) and not whole:
        raise Failure(f"{len(zero)} of {len(began)} lora_B are zero: the adapter adds nothing", "trained ones", zero[0])
    return f"{len(zero)} of {len(began)} lora_B are zero, {zero[0]} first: they add nothing" if zero else None


@check(
    "ART-235",
    "Every token of the tokenizer has a row in the embedding",
    why="Rows of added tokens that are not saved are random after the embedding is resized.",
    remedy="Save the embedding with the adapter (save_embedding_layers=True, or modules_to_save), or train its rows.",
    depends_on=("ART-204", "ART-205"),
)
def tokens_have_rows(evidence: AdapterEvidence) -> None:
    """ART-235: of the adapter's own tokenizer; padding needs no row of its own."""
    if evidence.tokenizer is None or evidence.expected is None:
        raise Unavailable("the tokenizer was not looked at")
    if lost := evidence.tokenizer.without_row:
        seen = (
            f"the tokenizer has {len(lost)} token{'s' * (len(lost) > 1)} more than the embedding has rows"
            f" ({evidence.expected.rows}), and the file has no rows for them"
        )
        raise Failure(seen, "a row for each token", lost[0])


def _values(evidence: AdapterEvidence) -> Mapping[str, TensorValues]:
    evidence.files.check_readable()
    if evidence.values is None:
        raise Unavailable("the tensors were not read")
    return evidence.values


def _fail_where(found: Mapping[str, str], evidence: AdapterEvidence, allowed: str) -> None:
    if found:
        dtypes = ", ".join(sorted(set(found.values())))
        raise Failure(f"{len(found)} of {len(evidence.files.headers)} tensors are {dtypes}", allowed, min(found))
