"""Estimates the rounding error of weights in the format of their base model, module by module, without a GPU.

A number that is rounded to steps of size s is off by s / sqrt(12) on average (root mean square). The steps of a stored
quantised weight are known from its scales; a full-precision weight whose configuration requests quantisation on
loading is quantised here, and its error is exact except for the second quantisation of scales.

Formats: bitsandbytes nf4, fp4 (QLoRA, arXiv:2305.14314) and int8 (LLM.int8, arXiv:2208.07339); GPTQ (arXiv:2210.17323)
and AWQ (arXiv:2306.00978) as their tools store them; bfloat16 and float16.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sft_ref.errors import BaseModelError
from sft_ref.io.base_config import CONFIG
from sft_ref.io.reading import Refusal, read_json
from sft_ref.io.tensor_headers import READABLE, Shape

from .stored_model import StoredModel
from .streaming import norm_of, pieces_of, read_tensor

_NF4 = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635),
    *(-0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634),
    *(0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
_FP4 = tuple(sorted(sign * each / 12 for sign in (-1, 1) for each in (0, 0.0625, 2, 3, 4, 6, 8, 12)))
_CODES = {"nf4": _NF4, "fp4": _FP4}
"""Values of the 16 codes, relative to the largest absolute value of a block."""

_BLOCK = 64
"""Number of values that share a scale in bitsandbytes."""
_INT8 = 127
_UNIFORM = math.sqrt(12)
_RELATIVE = {"BF16": 0.189 * 2**-7, "F16": 0.189 * 2**-10, "F32": 0.189 * 2**-23}
"""Rounding error of a dtype relative to the weight's norm, for evenly distributed leading digits."""


@dataclass(frozen=True)
class Quantisation:
    """The quantisation that a base model's configuration declares.

    Attributes:
        method: bitsandbytes, gptq, awq or another.
        name: method and kind, for a message.
        codes: nf4 or fp4; empty for any other.
        skipped: modules that stay in full precision.
    """

    method: str
    name: str
    codes: str = ""
    skipped: tuple[str, ...] = ()


def read_quantisation(folder: Path) -> Quantisation | None:
    """Reads the quantisation that a base model's config.json declares; None if it declares none.

    Raises:
        BaseModelError: the configuration cannot be read.
    """
    refusal = Refusal(BaseModelError, "give the folder of a model")
    table = read_json(folder / CONFIG, dict[str, Any], refusal).get("quantization_config")
    if not isinstance(table, dict):
        return None
    in_four, in_eight = table.get("load_in_4bit"), table.get("load_in_8bit")
    method = str(table.get("quant_method") or ("bitsandbytes" if in_four or in_eight else "an unknown method"))[:40]
    codes = ""
    if method == "bitsandbytes" and in_four:
        codes = "nf4" if table.get("bnb_4bit_quant_type") == "nf4" else "fp4"
    bits = table.get("bits", 8 if in_eight else None)
    kind = codes or (f"{bits} bits" if isinstance(bits, int) else "")
    skipped = table.get("llm_int8_skip_modules") or table.get("modules_to_not_convert") or ["lm_head"]
    names = tuple(each for each in skipped if isinstance(each, str)) if isinstance(skipped, list) else ()
    return Quantisation(method, f"{method} {kind}".strip(), codes, names)


def measure_weight(
    base: StoredModel, module: str, shape: Shape, quantisation: Quantisation | None
) -> tuple[float | None, float | None]:
    """Returns the norms of a module's weight and of its rounding error in the base's format; None if not computed.

    Args:
        base: stored weights.
        module: name of the module in the base model, with the parameter's name if that is not ``weight``.
        shape: shape of the weight according to the configuration.
        quantisation: quantisation of the base model; None if there is none.

    Raises:
        UnreadableError: a file is shorter than its header states.
    """
    name = base.find(f"{module}.weight") or base.find(module)
    if name is None:
        return None, _by_groups(base, module, shape)
    dtype = base.headers[name].dtype
    if dtype in _STORED:
        try:
            return _STORED[dtype](base, name)
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError):  # a malformed quantisation state
            return None, None
    if dtype not in READABLE:
        return None, None
    norm = norm_of(base.headers[name])
    if quantisation is not None and not any(f".{each}." in f".{module}." for each in quantisation.skipped):
        return norm, _when_loaded(base, name, quantisation)
    return norm, norm * _RELATIVE[dtype] if dtype in _RELATIVE else None


def _by_groups(base: StoredModel, module: str, shape: Shape) -> float | None:
    """Estimates the error of GPTQ and AWQ: scales of (groups, out), each for a group of inputs."""
    name = base.find(f"{module}.scales")
    if name is None or base.find(f"{module}.qweight") is None or len(shape) != 2:  # noqa: PLR2004  # a matrix
        return None
    groups = base.headers[name].shape[0]
    return norm_of(base.headers[name]) * math.sqrt(shape[1] / groups) / _UNIFORM if groups else None


def _by_rows(base: StoredModel, name: str) -> tuple[float | None, float | None]:
    """Measures int8 of bitsandbytes: one scale per row."""
    scales = base.find(f"{name.removesuffix('.weight')}.SCB")
    header = base.headers[name]
    if scales is None or len(header.shape) != 2 or base.headers[scales].shape != header.shape[:1]:  # noqa: PLR2004
        return None, None
    steps = read_tensor(base.headers[scales]).float() / _INT8
    columns = header.shape[1]
    rows = max(1, 2**21 // max(columns, 1))
    squares = torch.cat(
        [piece.view(-1, columns).float().square().sum(1) for piece in pieces_of(header, rows * columns)]
    )
    error = steps.norm().item() * math.sqrt(columns) / _UNIFORM
    return math.sqrt((squares * steps.square()).sum().item()), error


def _by_codes(base: StoredModel, name: str) -> tuple[float | None, float | None]:
    """Measures nf4 and fp4 of bitsandbytes: two codes per byte, one scale per block."""
    state = next((key for key in base.headers if key.startswith(f"{name}.quant_state.bitsandbytes__")), None)
    parts = {part: base.headers.get(f"{name}.{part}") for part in ("absmax", "quant_map")}
    if state is None or None in parts.values():
        return None, None
    table = json.loads(bytes(read_tensor(base.headers[state]).tolist()))
    block = int(table["blocksize"]) // 2  # bytes
    codes = read_tensor(base.headers[f"{name}.quant_map"]).float()
    scales = _scales(base, name, table)
    header = base.headers[name]
    if block < 1 or len(codes) != 16 or math.prod(header.shape) != block * len(scales):  # noqa: PLR2004  # codes
        return None, None
    tables = {"norm": codes.square(), "error": _variances(codes)}
    sums = dict.fromkeys(tables, 0.0)
    at = 0
    for piece in pieces_of(header, 2**14 * block):
        high, low = (piece >> 4).long(), (piece & 15).long()
        squares = scales[at : at + len(piece) // block].square()
        for key, values in tables.items():
            sums[key] += ((values[high] + values[low]).view(-1, block).sum(1) * squares).sum().item()
        at += len(squares)
    return math.sqrt(sums["norm"]), math.sqrt(sums["error"])


def _scales(base: StoredModel, name: str, table: Mapping[str, Any]) -> torch.Tensor:
    """Returns the scale of each block; the scales may be quantised themselves."""
    scales = read_tensor(base.headers[f"{name}.absmax"])
    if f"{name}.nested_absmax" not in base.headers:
        return scales.float()
    codes, outer = (read_tensor(base.headers[f"{name}.nested_{part}"]).float() for part in ("quant_map", "absmax"))
    blocks = torch.arange(len(scales)) // int(table["nested_blocksize"])
    return codes[scales.long()] * outer[blocks] + float(table["nested_offset"])


def _variances(codes: torch.Tensor) -> torch.Tensor:
    """Returns each code's mean square rounding error, for numbers spread evenly up to its neighbours' midpoints."""
    ordered, order = codes.sort()
    gaps = torch.zeros(len(codes) + 1)
    gaps[1:-1] = ordered.diff() / 2
    left, right = gaps[:-1], gaps[1:]
    width = (left + right).clamp(min=1e-30)
    return torch.empty_like(codes).scatter_(0, order, (left**3 + right**3) / (3 * width))


def _when_loaded(base: StoredModel, name: str, quantisation: Quantisation) -> float | None:
    """Returns the error of a full-precision weight that is quantised on loading."""
    if quantisation.method != "bitsandbytes":
        return None
    header, total = base.headers[name], 0.0
    codes = torch.tensor(_CODES[quantisation.codes]) if quantisation.codes else None
    block = _BLOCK if codes is not None else header.shape[-1]
    if not block or math.prod(header.shape) % block:
        return None
    for piece in pieces_of(header, max(1, 2**20 // block) * block):
        numbers = piece.float().view(-1, block)
        scales = numbers.abs().amax(1, keepdim=True).clamp(min=1e-30)
        shares = numbers / scales
        if codes is None:
            rounded = (shares * _INT8).round() / _INT8
        else:
            rounded = codes[torch.bucketize(shares, (codes[1:] + codes[:-1]) / 2)]
        total += ((rounded - shares) * scales).square().sum().item()
    return math.sqrt(total)


_STORED: Mapping[str, Callable[[StoredModel, str], tuple[float | None, float | None]]] = {
    "U8": _by_codes,
    "I8": _by_rows,
}
"""Dtype of a stored quantised weight -> function that measures it."""
