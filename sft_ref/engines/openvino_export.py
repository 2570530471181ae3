"""Exports a causal language model of transformers to OpenVINO: stateful, as continuous batching requires."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache

from sft_ref.errors import EngineError
from sft_ref.harness.core import tolerance
from sft_ref.io.foreign import foreign_files

from .int8 import compress
from .openvino_compiled import Compiled, properties

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MODEL = "openvino_model.xml"
"""Name of the file that OpenVINO GenAI looks for in a folder."""

_INPUTS = ("input_ids", "attention_mask", "position_ids", "beam_idx")


class _Appended(DynamicCache):
    """Keys and values of former tokens, to which each layer appends its own."""

    def __init__(self, past: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.pairs = [(past[at], past[at + 1]) for at in range(0, len(past), 2)]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = self.pairs[layer_idx]
        self.pairs[layer_idx] = torch.cat([keys, key_states], 2), torch.cat([values, value_states], 2)
        return self.pairs[layer_idx]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.pairs[layer_idx][0].shape[2]


class _Stateless(torch.nn.Module):
    """The model as a function of tokens and past keys and values; returns them with those of the tokens appended."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model: Any = model

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        beam_idx: torch.Tensor,
        past: list[torch.Tensor],
    ) -> tuple[torch.Tensor, ...]:
        """Returns the logits, then keys and values of each layer.

        Args:
            input_ids: ids of the new tokens, (rows, tokens).
            attention_mask: attention mask, (rows, former and new tokens).
            position_ids: positions of the new tokens, (rows, tokens).
            beam_idx: row of `past` that each row continues, (rows,).
            past: keys and values of each layer, each (rows, heads, former tokens, size).
        """
        cache = _Appended([each.index_select(0, beam_idx) for each in past])
        new, total = input_ids.shape[1], attention_mask.shape[1]
        is_past = torch.arange(total)[None, :] <= torch.arange(new)[:, None] + (total - new)
        seen = is_past[None, None] & attention_mask[:, None, None, :].bool()
        mask = torch.where(seen, 0.0, torch.finfo(torch.float32).min)  # four dimensions: transformers uses it unchanged
        output = self.model(
            input_ids=input_ids, attention_mask=mask, position_ids=position_ids, past_key_values=cache, use_cache=True
        )
        return (output.logits, *(each for pair in cache.pairs for each in pair))


def export(model: PreTrainedModel, folder: Path, *, weights: str) -> None:
    """Writes a model, after checking that OpenVINO computes the same logits from it.

    Args:
        model: model in float32, with torch's fused attention (`sdpa`), which OpenVINO supports.
        folder: an empty folder.
        weights: "fp32", or "int8" for matrices in 8 bits with one scale per row.

    Raises:
        EngineError: OpenVINO cannot run the model, or computes other logits.
    """
    import openvino

    _check_attention(model)
    problem = f"OpenVINO cannot run this {type(model).__name__}"
    with foreign_files(EngineError, problem, "use --engine transformers"):
        converted = _convert(model)
        _check_logits(converted, model)
        if weights == "int8":
            compress(converted)
        openvino.save_model(converted, folder / MODEL, compress_to_fp16=False)
        model.config.save_pretrained(folder)


def _check_attention(model: PreTrainedModel) -> None:
    """Raises if layers attend only to a window of tokens: the exported mask has no window."""
    config: Any = model.config
    types = getattr(config, "layer_types", None)
    is_full = set(types) == {"full_attention"} if types else getattr(config, "sliding_window", None) is None
    if not is_full:
        raise EngineError(
            f"the engine openvino: {type(model).__name__} has layers that do not attend to all tokens; use"
            " --engine transformers"
        )


def _convert(model: PreTrainedModel) -> Any:  # noqa: ANN401  # an openvino.Model
    import openvino
    from openvino._offline_transformations import apply_make_stateful_transformation

    heads, size, layers = _cache_shape(model)
    past = [torch.zeros(2, heads, 3, size) for _ in range(2 * layers)]
    example = {
        "input_ids": torch.ones(2, 4, dtype=torch.int64),
        "attention_mask": torch.ones(2, 7, dtype=torch.int64),
        "position_ids": torch.arange(3, 7).repeat(2, 1),
        "beam_idx": torch.arange(2, dtype=torch.int32),
        "past": past,
    }
    with torch.no_grad():
        found = openvino.convert_model(_Stateless(model), example_input=example)
    kinds = [f"{layer}.{kind}" for layer in range(layers) for kind in ("key", "value")]
    before, after = [f"past.{kind}" for kind in kinds], [f"present.{kind}" for kind in kinds]
    shapes = [[-1, -1], [-1, -1], [-1, -1], [-1], *([-1, heads, -1, size] for _ in kinds)]
    for given, name, shape in zip(found.inputs, (*_INPUTS, *before), shapes, strict=True):
        given.get_tensor().set_names({name})
        given.get_node().set_friendly_name(name)
        given.get_node().set_partial_shape(openvino.PartialShape(shape))
    for put_out, name in zip(found.outputs, ("logits", *after), strict=True):
        put_out.get_tensor().set_names({name})
    found.validate_nodes_and_infer_types()
    apply_make_stateful_transformation(found, dict(zip(before, after, strict=True)))
    _begin_empty(found, heads, size)
    return found


def _cache_shape(model: PreTrainedModel) -> tuple[int, int, int]:
    """Returns heads and size of a layer's keys and values, and the number of layers, from a forward pass."""
    cache = DynamicCache()
    with torch.no_grad():
        model(input_ids=torch.zeros(1, 1, dtype=torch.int64), past_key_values=cache, use_cache=True)
    keys = [each[0] for each in _pairs(cache)]
    _, heads, _, size = keys[0].shape
    return heads, size, len(keys)


def _pairs(cache: DynamicCache) -> list[tuple[torch.Tensor, torch.Tensor]]:
    layers: Any = getattr(cache, "layers", None)
    if layers is None:  # transformers 4.55 and older
        old: Any = cache
        return list(zip(old.key_cache, old.value_cache, strict=True))
    return [(layer.keys, layer.values) for layer in layers]


def _begin_empty(model: Any, heads: int, size: int) -> None:  # noqa: ANN401
    """Initializes keys and values with no tokens, for the number of rows in the input."""
    from openvino import Type, opset13

    def whole(*values: int) -> Any:  # noqa: ANN401
        return opset13.constant([*values], dtype=Type.i64)

    rows = opset13.gather(opset13.shape_of(model.input("input_ids"), output_type="i64"), whole(0), whole(0))
    empty = opset13.broadcast(
        opset13.constant(0.0, dtype=Type.f32), opset13.concat([rows, whole(heads, 0, size)], axis=0)
    )
    for node in model.get_ops():
        if node.get_type_name() == "ReadValue":
            node.set_arguments([empty])
    model.validate_nodes_and_infer_types()


def _check_logits(converted: Any, model: PreTrainedModel) -> None:  # noqa: ANN401
    """Compares the logits of two rows, one of them padded: 8 tokens at once, and one more that follows them."""
    config: Any = model.config
    random = torch.Generator().manual_seed(0)
    ids = torch.randint(config.vocab_size, (2, 9), generator=random)
    mask = torch.ones_like(ids)
    mask[1, :3] = 0
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        due = model(input_ids=ids, attention_mask=mask, position_ids=positions).logits
    compiled = Compiled(converted, properties("f32"))
    compiled.begin()
    found = torch.cat(
        [compiled.go_on(ids[:, part], mask[:, : part.stop], positions[:, part]) for part in (slice(8), slice(8, 9))], 1
    )
    seen = mask.bool()
    apart, allowed = (found - due)[seen].abs().max().item(), tolerance.logits("float32", due[seen])
    if not apart <= allowed:
        raise EngineError(
            f"the engine openvino: logits of {type(model).__name__} differ from torch's by {apart:.2g}, and rounding"
            f" explains only {allowed:.2g}; use --engine transformers"
        )
