"""Measures each pair of low-rank matrices of an adapter, one pair at a time, without the base model's weights."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from sft_ref.harness.evidence.adapter import ExpectedTensors, PairValues
from sft_ref.io.lora_config import AdapterConfig
from sft_ref.io.tensor_headers import READABLE, TensorHeader

from .quantised import Quantisation, measure_weight
from .stored_model import StoredModel
from .streaming import read_tensor

_PREFIX = "base_model.model."
_A = re.compile(r"\.lora_(embedding_)?A(?=\.|$)")

_MOST_RANK, _MOST_NUMBERS = 1024, 2**26
"""Maximum rank, and maximum numbers per matrix, of a pair whose product is computed."""


def measure_pairs(
    headers: Mapping[str, TensorHeader], expected: ExpectedTensors, config: AdapterConfig
) -> tuple[PairValues, ...]:
    """Measures rank, scaling, dtype and the norm of B A of each pair whose two matrices fit together.

    Args:
        headers: headers of the adapter's tensors.
        expected: tensors that the configuration implies on the base model.
        config: configuration of the adapter.

    Raises:
        UnreadableError: a file is shorter than its header states.
    """
    places = {f"{_PREFIX}{place.path}": place for place in expected.places}
    found = []
    for name, a in headers.items():
        match = _A.search(name)
        b = headers.get(_A.sub(lambda each: f".lora_{each[1] or ''}B", name)) if match else None
        if match is None or b is None or 0 in (*a.shape, *b.shape):
            continue
        own = name[: match.start()]
        place = places.get(own)
        weight = expected.modules.get(f"{place.module}.{place.parameter}", ()) if place else ()
        stacked = weight[0] if len(weight) == 3 else 1  # noqa: PLR2004  # a stack of experts
        product = _norm_of_product(a, b, stacked)
        if product is not None:
            module = f"{place.module}.{place.parameter}".removesuffix(".weight") if place else own.removeprefix(_PREFIX)
            scaling = place.scaling if place else _scaling_everywhere(config)
            found.append(PairValues(module, a.shape[0] // stacked, scaling, a.dtype, product))
    return tuple(found)


def _scaling_everywhere(config: AdapterConfig) -> float | None:
    """Returns the scaling that all modules share; None if patterns set it per module."""
    if config.alpha_pattern or config.rank_pattern:
        return None
    return config.alpha / (math.sqrt(config.rank) if config.use_rslora else config.rank)


def measure_bases(
    pairs: Iterable[PairValues], base: StoredModel, expected: ExpectedTensors, quantisation: Quantisation | None
) -> tuple[PairValues, ...]:
    """Adds to the pairs the norms of their base weights and of these weights' rounding; weights are read in pieces.

    Raises:
        UnreadableError: a file is shorter than its header states.
    """
    found: dict[str, tuple[float | None, float | None]] = {}
    for each in pairs:
        if each.module not in found:
            shape = expected.modules.get(each.module, ())
            found[each.module] = measure_weight(base, each.module, shape, quantisation)
    return tuple(replace(each, base=found[each.module][0], rounding=found[each.module][1]) for each in pairs)


def _norm_of_product(a: TensorHeader, b: TensorHeader, stacked: int) -> float | None:
    """Computes the Frobenius norm of B A from the (rank, rank) matrices A A^T and B^T B; None if it is not computed.

    Args:
        a: header of A, (rank, in); for stacked experts (experts * rank, in).
        b: header of B, (out, rank); for stacked experts (out, rank * experts).
        stacked: number of experts in the stack; 1 if there is none.
    """
    if min(len(a.shape), len(b.shape)) <= 1 or not {a.dtype, b.dtype} <= READABLE:
        return None
    sizes = [math.prod(header.shape) for header in (a, b)]
    rank = a.shape[0] // stacked
    if a.shape[0] != stacked * rank or b.shape[1] != a.shape[0]:
        return None
    if rank > _MOST_RANK or max(sizes) > _MOST_NUMBERS:
        return None
    rows = read_tensor(a).float().reshape(stacked, rank, -1)  # (experts, rank, in)
    columns = read_tensor(b).float().reshape(b.shape[0], rank, stacked).permute(2, 1, 0)  # (experts, rank, out)
    grams = [(each @ each.transpose(1, 2)).double() for each in (rows, columns)]
    product = math.sqrt(max((grams[0] * grams[1]).sum().item(), 0.0))
    return product if math.isfinite(product) else None
