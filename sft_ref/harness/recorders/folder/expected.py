"""Derives the tensors that a configuration implies on a base model by building it with peft on the meta device."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sft_ref.harness.evidence.adapter import AdaptedParameter, ExpectedTensors, is_embedding
from sft_ref.io.base_config import check_known_sizes, check_sizes, empty_model, has_weights, read_config
from sft_ref.io.lora_config import AdapterConfig
from sft_ref.io.tensor_headers import Shape, TensorHeader

if TYPE_CHECKING:
    from peft import PeftModel

_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

_NEW_TOKENS = 100_000
"""Maximum number of tokens by which a vocabulary may have grown."""

_OF_ADAPTER = re.compile(r"\.(?:lora_|token_adapter\.|modules_to_save\.|original_module\.)")
_ADAPTER_NAME = re.compile(r"(?<=\.lora_[AB])\.default(?=\.weight$)")
_MAGNITUDE = re.compile(r"(?<=\.lora_magnitude_vector)\.weight$")


class RefusedError(Exception):
    """peft refuses to put the configuration on the base model; the message is peft's."""


def empty_base(folder: Path, rows: int | None = None) -> Any:  # noqa: ANN401
    """Builds the base model on the meta device.

    Args:
        folder: folder of the base model.
        rows: number of rows of the embedding; None takes the number in the configuration.

    Raises:
        BaseModelError: the configuration is not that of a causal language model.
    """
    return empty_model(read_config(folder), folder, rows)


def find_expected(base: Path, config: AdapterConfig, headers: Mapping[str, TensorHeader]) -> ExpectedTensors:
    """Returns the tensors that the configuration implies on the base model.

    Raises:
        RefusedError: peft refuses the configuration on this base model.
        BaseModelError: the base model's configuration cannot be built.
    """
    (check_sizes if has_weights(base) else check_known_sizes)(read_config(base), base)
    model = empty_base(base)
    stored = getattr(model.config, "dtype", None) or getattr(model.config, "torch_dtype", None) or torch.float32
    dtype = str(stored).removeprefix("torch.")
    rows = model.get_input_embeddings().weight.shape[0]
    needed = rows_of(config, headers, rows)
    if needed != rows:
        model = empty_base(base, needed)
    modules = {
        name: tuple(tensor.shape)
        for key, tensor in model.named_parameters(remove_duplicate=False)
        for name in {key, key.rpartition(".")[0]}
    }
    parameters = sum(tensor.numel() for tensor in model.parameters())
    peft_model = put_adapter(model, config)
    required = _shapes(peft_model)
    optional = {
        name: tuple(tensor.shape)
        for name, tensor in peft_model.state_dict().items()
        if name not in required and not _OF_ADAPTER.search(name)
    }
    return ExpectedTensors(required, optional, modules, rows, needed, dtype, parameters, _places(peft_model))


def rows_of(config: AdapterConfig, headers: Mapping[str, TensorHeader], rows: int) -> int:
    """Returns the number of embedding rows needed: those of its tensor in the file, extended to every trained token.

    Raises:
        RefusedError: a token index is beyond any plausible grown vocabulary.
    """
    embeddings = [header.shape[0] for name, header in headers.items() if is_embedding(name) and len(header.shape) == 2]  # noqa: PLR2004  # a matrix
    last = max(token_indices(config), default=-1)
    if last >= rows + _NEW_TOKENS:
        raise RefusedError(f"trainable_token_indices names token {last}, and the base has {rows}")
    return max(max(embeddings, default=0) or rows, last + 1)


def token_indices(config: AdapterConfig) -> list[int]:
    """Returns all token indices whose embeddings were trained."""
    indices = config.options.get("trainable_token_indices", [])
    several = indices.values() if isinstance(indices, dict) else [indices]
    return [index for each in several for index in each]


def put_adapter(model: Any, config: AdapterConfig) -> PeftModel:  # noqa: ANN401
    """Adds the configured adapter to a base model, in place; its tensors are not yet loaded from the file.

    Raises:
        RefusedError: peft refuses the configuration on this base model.
    """
    from peft import PeftModelForCausalLM

    device = next(model.parameters()).device
    with peft_refusals(), torch.device(device):  # else peft first allocates tensors of any size on the CPU
        return PeftModelForCausalLM(model, config.for_peft(), "default", autocast_adapter_dtype=False)


@contextlib.contextmanager
def peft_refusals() -> Iterator[None]:
    """Turns exceptions of peft within the block into RefusedError: foreign files break peft in many ways.

    Raises:
        RefusedError: peft raised an exception.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        raise RefusedError(" ".join(str(error).split())[:300] or type(error).__name__) from error


def as_loaded(tensors: Mapping[str, torch.Tensor], model: PeftModel) -> dict[str, torch.Tensor]:
    """Returns the tensors under the names that peft expects for this base model; peft stacks experts of older files."""
    config = model.peft_config["default"]
    try:
        from peft.utils.transformers_weight_conversion import convert_peft_adapter_state_dict_for_transformers
    except ImportError:  # an older peft, or transformers 4
        converted = dict(tensors)
    else:
        converted = convert_peft_adapter_state_dict_for_transformers(model, config, dict(tensors))
    return {_ADAPTER_NAME.sub("", _MAGNITUDE.sub("", name)): tensor for name, tensor in converted.items()}


def peft_accepts(headers: Mapping[str, TensorHeader], base: Path, config: AdapterConfig, rows: int) -> bool:
    """Returns whether peft finds a place for each tensor and a tensor for each place, regardless of names."""
    from peft import set_peft_model_state_dict

    model = put_adapter(empty_base(base, rows), config)
    tensors = {
        name: torch.empty(header.shape, dtype=_DTYPES.get(header.dtype, torch.float32), device="meta")
        for name, header in headers.items()
    }
    try:
        with peft_refusals():
            result: Any = set_peft_model_state_dict(model, tensors)
    except RefusedError:
        return False
    return not result.unexpected_keys and not any(map(_OF_ADAPTER.search, result.missing_keys))


def _places(model: PeftModel) -> tuple[AdaptedParameter, ...]:
    from peft.tuners.lora import LoraLayer

    found = []
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            path = name.removeprefix("base_model.model.")
            module, parameter = path.replace(".base_layer", ""), getattr(layer, "parameter_name", None)
            key = f"{module}.{parameter}" if parameter else module
            found.append(AdaptedParameter(path, module, parameter or "weight", key, float(layer.scaling["default"])))
    return tuple(found)


def _shapes(model: PeftModel) -> dict[str, Shape]:
    from peft import get_peft_model_state_dict

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = get_peft_model_state_dict(model, save_embedding_layers=False)
    return {name: tuple(tensor.shape) for name, tensor in found.items()}
