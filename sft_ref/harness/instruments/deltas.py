"""Computes an adapter's deltas to Linear weights: from its tensors, and from the loaded model's outputs."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.implementation import TrainingResult
from sft_ref.io.base_config import empty_model
from sft_ref.io.lora_config import CONFIG, read_lora, read_table
from sft_ref.reference.guards.names import plain

from .token_rows import TRAINED_ROWS, trained_rows

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


_DECOMPOSING = ("pissa", "olora")
"""Initialisations that deterministically move a part of the base weight into the adapter."""

_SAME_START = 0.1
"""Maximum difference between a delta and what the base weight lacks, relative to the delta; covers 16-bit rounding."""


def pairs(tensors: dict[str, torch.Tensor]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Returns A and B of each adapted Linear, by base module name; a matrix without its partner is left out."""
    found = {}
    for name, tensor in tensors.items():
        partner = name.replace(".lora_A.", ".lora_B.")
        if ".lora_A." in name and partner in tensors:
            found[plain(name).partition(".lora_A.")[0]] = (tensor.float(), tensors[partner].float())
    return found


def read_rank_and_scaling(folder: Path, base: PreTrainedModel) -> dict[str, tuple[int, float]]:
    """Reads rank and scaling of each base module from the stored configuration, as peft interprets it.

    Raises:
        AdapterError: the configuration is not a LoRA configuration that peft can use.
    """
    from peft import get_peft_model

    if not (folder / CONFIG).is_file():
        raise Unavailable(f"there is no {CONFIG} with rank and alpha")
    config = read_lora(folder).for_peft()
    empty = empty_model(base.config, folder)
    with torch.device("meta"):
        model = get_peft_model(empty, config)
    layers = {plain(name): layer for name, layer in model.named_modules() if hasattr(layer, "lora_A")}
    return {name: (layer.r["default"], float(layer.scaling["default"])) for name, layer in layers.items()}


def dora_delta(weight: torch.Tensor, delta: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """Computes the delta that gives the rows of weight plus delta these magnitudes (DoRA, arXiv:2402.09353)."""
    weight = weight.detach().float()
    whole = weight + delta
    norms: torch.Tensor = whole.norm(dim=1, keepdim=True)
    return magnitude.float()[:, None] * whole / norms - weight


def expected_deltas(trained: TrainingResult, stored: Path, base: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Computes the trained delta of each base module in fp32: scaling times B @ A, or DoRA's delta.

    The part that the adapter's initialisation took from the base weight is subtracted. An output head that is tied to
    an embedding has the trained rows of that embedding.
    """
    scalings = trained.scalings or {name: scaling for name, (_, scaling) in read_rank_and_scaling(stored, base).items()}
    deltas = {name: scalings[name] * (b @ a) for name, (a, b) in pairs(trained.adapter).items()}
    starts = init_deltas_of(trained, stored, base)
    for key, magnitude in trained.adapter.items():
        name, is_dora, _ = plain(key).partition(".lora_magnitude_vector")
        if is_dora:
            weight = base.get_parameter(f"{name}.weight").detach().float() - starts.get(name, 0.0)
            deltas[name] = dora_delta(weight, deltas[name], magnitude)
    deltas = {name: delta - starts[name] if name in starts else delta for name, delta in deltas.items()}
    for name, delta in _head_deltas(trained, stored, base):
        deltas[name] = deltas.get(name, 0.0) + delta
    return deltas


def _head_deltas(trained: TrainingResult, stored: Path, base: PreTrainedModel) -> Iterator[tuple[str, torch.Tensor]]:
    """Yields the name of an output head that is tied to an embedding with trained rows, and the difference in them."""
    for module, (ids, rows) in trained_rows(trained.adapter, _options(trained, stored)).items():
        weight = base.get_submodule(module).weight
        for name, linear in base.named_modules():
            if isinstance(linear, torch.nn.Linear) and linear.weight is weight:
                delta = torch.zeros(linear.weight.shape)
                delta[ids] = rows - linear.weight.detach().float()[ids]
                yield name, delta


def _options(trained: TrainingResult, stored: Path) -> dict[str, Any]:
    """Returns the stored configuration if it is needed to place the tensors."""
    return read_table(stored) if any(TRAINED_ROWS in name for name in trained.adapter) else {}


def init_deltas_of(trained: TrainingResult, stored: Path, base: PreTrainedModel) -> Mapping[str, torch.Tensor]:
    """Returns the part of the base weights that initialisation moved into the adapter, by module.

    An example is PiSSA (arXiv:2404.02948). If training does not report it, peft recomputes it from the stored
    configuration, as it does on loading.
    """
    if trained.starts is not None:
        return trained.starts
    start = read_table(stored).get("init_lora_weights")
    if start not in _DECOMPOSING:
        return {}
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(**read_lora(stored).options, init_lora_weights=start, task_type="CAUSAL_LM")
    return measure_init_deltas(get_peft_model(copy.deepcopy(base), config), base)


def measure_init_deltas(model: torch.nn.Module, base: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Measures the part of the base weights that moved into a new, untrained adapter, by module.

    A module counts if its base weight lacks just what the adapter adds; other changes of the base weight are ignored.
    """
    taken = {}
    for name, layer in ((plain(name), layer) for name, layer in model.named_modules() if hasattr(layer, "lora_A")):
        for adapter in layer.lora_A:
            added = layer.get_delta_weight(adapter).detach().float().cpu()
            lacking = base.get_parameter(f"{name}.weight").detach() - layer.base_layer.weight.detach().float().cpu()
            if added.any() and (lacking - added).norm() < _SAME_START * added.norm():
                taken[name] = lacking
    return taken


def merged(
    base: PreTrainedModel, trained: TrainingResult, deltas: dict[str, torch.Tensor], stored: Path
) -> PreTrainedModel:
    """Returns a copy of the base model with deltas added, and fully trained tensors and rows replaced."""
    model = copy.deepcopy(base)
    weights = dict(model.named_parameters(remove_duplicate=False))
    head = getattr(model, "lm_head", None)
    if "lm_head" in deltas and head is not None:  # a tied head would change the embedding, too
        head.weight = torch.nn.Parameter(head.weight.detach().clone())
        weights["lm_head.weight"] = head.weight
    with torch.no_grad():
        for name, delta in deltas.items():
            weights[f"{name}.weight"].add_(delta)
        for name, tensor in trained.adapter.items():
            if plain(name) in weights:
                weights[plain(name)].copy_(tensor)
        for module, (ids, rows) in trained_rows(trained.adapter, _options(trained, stored)).items():
            weights[f"{module}.weight"][ids] = rows.to(weights[f"{module}.weight"])
    return model


def load_weights(folder: Path, base: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Loads an adapter folder with plain peft, and returns the effective weights of the base model by name.

    Nothing is merged, and the given base model is not modified. The configuration is applied as a whole, including its
    initialisation: use this for trusted folders only.
    """
    loaded = _load_by_peft(folder, base)
    weights = {plain(name): tensor.detach() for name, tensor in loaded.named_parameters() if "lora_" not in name}
    for name, module in loaded.named_modules():
        if hasattr(module, "token_adapter"):  # peft's wrapper, whose weight has the trained rows
            weights[f"{plain(name)}.weight"] = module.weight.detach()
    return weights | {f"{name}.weight": effective_weight(module) for name, _, module in linears(base, loaded)}


def why_not_mergeable(folder: Path, base: PreTrainedModel) -> str:
    """Returns peft's error when a trusted folder's adapter is merged into the base model; empty if there is none."""
    try:
        _load_by_peft(folder, base).merge_and_unload()
    except Exception as error:  # noqa: BLE001  # peft has no specific exception for it
        return f"{type(error).__name__}: {error}"
    return ""


def _load_by_peft(folder: Path, base: PreTrainedModel) -> PeftModel:
    """Returns a copy of the base model with the adapter as loaded by plain peft."""
    from peft import PeftModel

    return PeftModel.from_pretrained(copy.deepcopy(base), str(folder)).eval()


def linears(base: PreTrainedModel, loaded: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Linear, torch.nn.Module]]:
    """Yields the name of each Linear of the base model, the Linear, and the corresponding loaded module."""
    found: dict[str, torch.nn.Module] = {}
    for name, module in loaded.named_modules():
        found.setdefault(plain(name), module)  # a wrapper comes before what it wraps
    for name, module in base.named_modules():
        if isinstance(module, torch.nn.Linear):
            place = next((there for there in found if there == name or there.endswith(f".{name}")), None)
            if place is None:
                raise Failure("the loaded model lacks a Linear of the base", "one for each", name)
            yield name, module, found[place]


def effective_weight(module: Any) -> torch.Tensor:  # noqa: ANN401
    """Returns the matrix that a module effectively multiplies by, adapter included, in fp32: (out, in)."""
    twin = copy.deepcopy(module).float().eval()
    with torch.no_grad():
        device = next(chain(twin.parameters(), twin.buffers())).device  # a quantised layer has buffers only
        size = next(each.in_features for each in twin.modules() if hasattr(each, "in_features"))
        output = twin(torch.cat([torch.zeros(1, size), torch.eye(size)]).to(device)).cpu()
    difference: torch.Tensor = (output[1:] - output[0]).T
    return difference


def shared_rows(found: torch.Tensor, due: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns two matrices without the last rows of the longer one: those of tokens that only one model has."""
    rows = min(len(found), len(due))
    return found[:rows], due[:rows]


def effective_delta(
    linear: torch.nn.Linear,
    module: Any,  # noqa: ANN401
    *,
    is_moved: bool = False,
) -> tuple[torch.Tensor, bool]:
    """Returns a loaded module's delta, and whether base weight and delta were rounded as one sum.

    Args:
        linear: the Linear of the base model.
        module: the corresponding loaded module.
        is_moved: whether a part of the base weight is in the adapter, and not in the layer under it.
    """
    whole, weight = shared_rows(effective_weight(module), linear.weight.detach().float().cpu())
    inner = getattr(module, "base_layer", None)
    if inner is None or is_moved or getattr(module, "merged", False):
        return whole - weight, True
    return whole - effective_weight(inner)[: len(whole)], False
