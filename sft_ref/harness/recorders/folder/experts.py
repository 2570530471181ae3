"""Expected tensors of an adapter with one pair per expert, on a base model that stacks experts.

Versions of transformers before 5 have a module per expert, such as `experts.3.w1`; later ones hold all experts of a
layer in one parameter, and peft stacks the pairs of an older file when it loads them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from sft_ref.harness.evidence.adapter import ExpectedTensors
from sft_ref.io.lora_config import AdapterConfig
from sft_ref.io.tensor_headers import Shape

_ONE = re.compile(r"layers\.\d+\.(?P<block>[\w.]+)\.experts\.\d+\.(?P<name>\w+)\.lora_(?P<side>[AB])\.weight$")
_STACK = re.compile(r"(?P<prefix>.*\blayers)\.(?P<layer>\d+)\.[\w.]+\.experts(?:\.base_layer)*\.lora_[AB]\.weight$")


def for_each_expert(expected: ExpectedTensors, found: Mapping[str, Shape], config: AdapterConfig) -> ExpectedTensors:
    """Replaces stacks by one pair per expert in the expected tensors, if the file has pairs of experts.

    Args:
        expected: tensors that the configuration implies on the base model.
        found: tensor name -> shape, in the file.
        config: configuration of the adapter.
    """
    shapes: dict[tuple[str, str, str], Counter[Shape]] = {}
    for key, shape in found.items():
        if match := _ONE.search(key):
            shapes.setdefault((match["block"], match["name"], match["side"]), Counter())[shape] += 1
    stacks = {key: match for key in expected.required if (match := _STACK.match(key))}
    number = max((shape[0] for shape in expected.modules.values() if len(shape) == 3), default=0)  # noqa: PLR2004  # stacks
    if not shapes or not stacks or not number:
        return expected
    required = {key: shape for key, shape in expected.required.items() if key not in stacks}
    modules = dict(expected.modules)
    for prefix, layer in sorted({(match["prefix"], match["layer"]) for match in stacks.values()}):
        for (block, name, side), counted in shapes.items():
            shape = _with_rank(counted.most_common(1)[0][0], side, config)
            for expert in range(number):
                module = f"{prefix}.{layer}.{block}.experts.{expert}.{name}"
                required[f"{module}.lora_{side}.weight"] = shape
                modules[module.removeprefix("base_model.model.")] = shape
    return replace(expected, required=required, modules=modules)


def _with_rank(shape: Shape, side: str, config: AdapterConfig) -> Shape:
    """Returns a shape with the configured rank, if one rank applies to all modules."""
    if config.rank_pattern or len(shape) != 2:  # noqa: PLR2004  # a matrix
        return shape
    return (config.rank, shape[1]) if side == "A" else (shape[0], config.rank)
