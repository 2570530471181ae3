"""The dtypes of a model: of its stored tensors, and of the outputs of its modules during a forward pass.

Output dtypes reveal autocast that is on in training and off when answering, which no stored dtype shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from sft_ref.errors import PrecisionMismatchError

from .names import plain

KINDS = ("base", "adapter", "buffer")

Dtypes = dict[str, dict[str, str]]
"""Kind of tensor, one of `KINDS` -> name -> dtype."""

Computed = dict[str, list[str]]
"""Class of module ("peft Linear") -> dtypes of the first outputs of its instances, sorted."""

_PASSES_ON = (torch.nn.Identity, torch.nn.Dropout)
"""Modules that compute nothing when answering, so that their output dtype is that of their input."""


def count_dtypes(model: torch.nn.Module) -> Dtypes:
    """Returns the dtype of every parameter and float buffer of a model, by its name without wrappers."""
    found: Dtypes = {kind: {} for kind in KINDS}
    for name, tensor in model.named_parameters():
        found["adapter" if "lora_" in name else "base"][plain(name)] = dtype_name(tensor)
    for name, buffer in model.named_buffers():
        if buffer.is_floating_point():
            found["buffer"][plain(name)] = dtype_name(buffer)
    return found


def check_same_dtypes(folder: Path, trained: Dtypes, found: Dtypes) -> None:
    """Refuses a loaded model if any tensor has another dtype than in training.

    Raises:
        PrecisionMismatchError: a dtype differs; the message names the first such tensor.
    """
    for kind, name, dtype in [(k, n, d) for k, names in trained.items() for n, d in names.items()]:
        if kind == "buffer" and name not in found[kind]:
            continue  # the buffers of a model depend on the version of transformers
        loaded = found.get(kind, {}).get(name)
        if loaded != dtype:
            raise PrecisionMismatchError(
                f"{folder}: {kind} tensor {name} was trained in {dtype} and is loaded in {loaded}"
            )


def summarize_dtypes(dtypes: Dtypes) -> str:
    """Summarizes dtypes in one line: ``base float32 ×272, adapter float32 ×420, buffer float32 ×1``."""
    counts = {kind: Counter(dtypes.get(kind, {}).values()) for kind in KINDS}
    return ", ".join(f"{kind} {dtype} ×{n}" for kind in KINDS for dtype, n in sorted(counts[kind].items()))


def dtype_name(tensor: torch.Tensor) -> str:
    """Returns the dtype of a tensor as in policies: ``float32``."""
    return str(tensor.dtype).removeprefix("torch.")


@contextmanager
def output_dtypes(model: torch.nn.Module) -> Iterator[Computed]:
    """Records the dtype of each module's first output within its context, in a mapping by the module's class.

    The model itself is omitted: accelerate casts its outputs in training to fp32.
    """
    found: Computed = {}
    hooks: dict[torch.nn.Module, torch.utils.hooks.RemovableHandle] = {}

    def note(module: torch.nn.Module, _args: object, output: Any) -> None:  # noqa: ANN401
        first = output[0] if isinstance(output, (tuple, list)) and output else output
        if isinstance(first, torch.Tensor) and first.is_floating_point():
            kind = _name(module)
            found[kind] = sorted({*found.get(kind, ()), dtype_name(first)})
        hooks[module].remove()  # one output is enough, and a training has many steps

    for module in model.modules():
        if module is not model and not isinstance(module, _PASSES_ON):
            hooks[module] = module.register_forward_hook(note)
    try:
        yield found
    finally:
        for hook in hooks.values():
            hook.remove()


def differences(trained: Computed, answering: Computed) -> list[str]:
    """Returns a line for each class of module whose output dtypes differ between training and answering.

    Classes that are in only one of the two are omitted. A line reads
    ``peft Linear: bfloat16 in training, float32 when answering``.
    """
    return [
        f"{kind}: {', '.join(trained[kind])} in training, {', '.join(answering[kind])} when answering"
        for kind in sorted(trained.keys() & answering.keys())
        if trained[kind] != answering[kind]
    ]


def _name(module: torch.nn.Module) -> str:
    """Returns package and class, because torch's Linear and peft's have the same class name."""
    return f"{type(module).__module__.partition('.')[0]} {type(module).__name__}"
