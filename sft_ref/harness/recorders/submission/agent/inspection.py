"""Inspects a model: dtypes, adapters, rows of added tokens, logits.

Also imported by the harness, which must choose the same rows as the agent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch

from ....instruments.steps.evaluation_mode import evaluation_mode

Row = TypeVar("Row", bound=Sequence[int])

_MOST_ROWS, _MOST_BYTES = 32, 256 * 2**20
"""Maximum number of texts, and of bytes of their logits."""


def unwrapped(name: str) -> str:
    """Removes the name parts that torch's wrappers add to a running model.

    Equals `sft_ref.reference.guards.names.unwrapped`, which is not available beside foreign code.
    """
    wrappers = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
    parts = [part for part in name.split(".") if part not in wrappers]
    while parts[:1] == ["module"]:
        del parts[0]
    return ".".join(parts)


def count_dtypes(model: Any) -> dict[str, dict[str, int]]:
    """Counts parameters by dtype, in the base and in the adapter; also float buffers.

    A layer that torch has quantized has no parameters, but a method that returns its weight.
    """
    counts: dict[str, dict[str, int]] = {"base": {}, "adapter": {}, "buffers": {}}
    if not hasattr(model, "named_parameters"):
        return counts
    packed = [(name, module.weight()) for name, module in model.named_modules() if _is_packed(module)]
    for name, tensor in (*model.named_parameters(), *packed):
        part = counts["adapter" if "lora_" in name else "base"]
        part[str(tensor.dtype)] = part.get(str(tensor.dtype), 0) + 1
    for _, tensor in model.named_buffers():
        if tensor.is_floating_point():
            counts["buffers"][str(tensor.dtype)] = counts["buffers"].get(str(tensor.dtype), 0) + 1
    return counts


def _is_packed(module: Any) -> bool:
    return type(module).__module__.startswith("torch.ao.nn.quantized") and callable(getattr(module, "weight", None))


def active_adapters(model: Any) -> list[str]:
    """Returns names of adapters that are active or merged in a layer of a model, and whose output is nonzero."""
    names: list[str] = []
    for module in model.modules():
        ups = getattr(module, "lora_B", None)
        if not isinstance(ups, (torch.nn.ModuleDict, torch.nn.ParameterDict)):
            continue
        used = (*(getattr(module, "active_adapters", None) or ()), *(getattr(module, "merged_adapters", None) or ()))
        names += [name for name in used if name in ups and bool(_weight(ups[name]).any())]
    return list(dict.fromkeys(names))


def _weight(part: Any) -> torch.Tensor:
    weight: torch.Tensor = next(part.parameters()) if hasattr(part, "parameters") else part
    return weight


def changed_base_weights(model: Any, base_weights: Mapping[str, torch.Tensor]) -> list[str]:
    """Returns parameters of the base model that differ from their original values, by their names in the base model."""
    changed = []
    for name, tensor in model.named_parameters():
        if "lora_" in name or "modules_to_save" in name:
            continue
        plain = unwrapped(name).replace("base_model.model.", "", 1).replace(".base_layer", "")
        plain = plain.replace(".original_module", "").replace(".default", "")
        own = base_weights.get(plain)
        if own is None or own.shape != tensor.shape:
            continue
        if not torch.equal(own.to(tensor.dtype), tensor.detach().cpu()):
            changed.append(plain)
    return changed


def added_rows(model: Any, known: int) -> dict[str, torch.Tensor]:
    """Returns effective embedding and output rows of the model for tokens beyond the first `known`."""
    inner, head = model.get_input_embeddings(), model.get_output_embeddings()
    count = model.config.vocab_size
    if count <= known or inner is None or head is None:
        return {}
    weight = next(inner.parameters())
    with torch.no_grad():
        rows = inner(torch.arange(known, count, device=weight.device))
        out = head(torch.eye(rows.shape[-1], dtype=rows.dtype, device=weight.device))
    return {"input": rows.float(), "output": out.T[known:].float()}


def choose_rows(rows: Sequence[Row], vocab_size: int) -> list[Row]:
    """Returns the first rows whose logits are small enough to be written; at least one."""
    chosen: list[Row] = []
    tokens = 0
    for row in rows[:_MOST_ROWS]:
        tokens += len(row)
        if chosen and 4 * tokens * vocab_size > _MOST_BYTES:
            break
        chosen.append(row)
    return chosen


def compute_logits(model: Any, rows: Sequence[Sequence[int]], times: int = 1) -> list[torch.Tensor]:
    """Computes logits of rows padded on the right: a tensor (tokens, vocabulary) for each of `times` forward passes."""
    longest = max(map(len, rows))
    device = next(model.parameters()).device
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=device)
    with torch.no_grad():
        logits = [model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float() for _ in range(times)]
    return [each[mask.bool()] for each in logits]


def is_blank(model: Any) -> bool:
    """Returns whether the peft adapter, if there is one, still adds nothing."""
    return not any("lora_B" in name and bool(weight.any()) for name, weight in model.named_parameters())


def next_token_losses(forward: Callable[..., Any], model: Any, given: Mapping[str, Any]) -> torch.Tensor:
    """Computes each token's cross-entropy after the first of each row, without padding, in nat: (tokens,).

    The model runs in evaluation mode: without dropout, and without noise that is added only in training.

    Args:
        forward: forward method of the model.
        model: model in any mode, which is restored.
        given: arguments of the forward pass by name.
    """
    with evaluation_mode(model), torch.no_grad():
        logits = forward(**{**given, "labels": None}).logits
    ids, mask = given["input_ids"], given.get("attention_mask")
    unpadded = torch.ones_like(ids, dtype=torch.bool)
    if mask is not None and mask.shape == ids.shape:
        unpadded = mask.bool()
    losses = []
    for row, tokens, own in zip(logits, ids, unpadded, strict=True):
        likelihoods = row[own][:-1].float().log_softmax(-1)
        losses.append(-likelihoods.gather(-1, tokens[own][1:, None])[:, 0].cpu())
    return torch.cat(losses)
