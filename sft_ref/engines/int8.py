"""Quantizes weights of an OpenVINO model to 8 bits: each row of a matrix has its own scale, and zero stays zero."""

from __future__ import annotations

from typing import Any

import torch

_MOST = 127


def compress(model: Any) -> None:  # noqa: ANN401  # an openvino.Model
    """Quantizes the constant matrices of all matrix products in place; embeddings are unchanged.

    An output head that shares its weights with the embedding gets a copy of them in 8 bits.
    """
    from openvino import opset13

    for node in model.get_ops():
        if node.get_type_name() != "MatMul":
            continue
        source = node.input(1).get_source_output()
        constant = source.get_node()
        if constant.get_type_name() != "Constant" or len(constant.get_output_shape(0)) != 2:  # noqa: PLR2004
            continue
        weight = torch.from_numpy(constant.data.copy())
        rows = 1 if node.get_attributes()["transpose_b"] else 0  # the axis that is summed over
        scale = weight.abs().amax(rows, keepdim=True) / _MOST
        scale[scale == 0] = 1
        rounded = (weight / scale).round().to(torch.int8)
        widened = opset13.convert(opset13.constant(rounded.numpy()), "f32")
        node.input(1).replace_source_output(opset13.multiply(widened, opset13.constant(scale.numpy())).output(0))
    model.validate_nodes_and_infer_types()
