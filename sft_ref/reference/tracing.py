"""The output dtype of each class of module while a model runs: what it computes in, whatever it is stored in.

Knows no policy. Traced in training and again when answering, it shows autocast that is on in one and off in the other,
which no dtype of a stored tensor tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

Computed = dict[str, list[str]]
"""Class of module ("peft Linear") -> dtypes of the first outputs of its instances, sorted."""

_PASSES_ON = (torch.nn.Identity, torch.nn.Dropout)
"""What computes nothing when answering, so that its dtype is that of whatever came before."""


@contextmanager
def output_dtypes(model: torch.nn.Module) -> Iterator[Computed]:
    """Within it, each module's first output adds its dtype to the mapping, under the module's class.

    The model itself is left out: accelerate casts what it puts out in training to fp32.
    """
    found: Computed = {}

    def note(module: torch.nn.Module, output: Any, handle: torch.utils.hooks.RemovableHandle) -> None:  # noqa: ANN401
        first = output[0] if isinstance(output, (tuple, list)) and output else output
        if isinstance(first, torch.Tensor) and first.is_floating_point():
            name = str(first.dtype).removeprefix("torch.")
            kind = _name(module)
            found[kind] = sorted({*found.get(kind, ()), name})
        handle.remove()  # once is enough, and a training has many steps

    with ExitStack() as hooks:
        for module in model.modules():
            if module is model or isinstance(module, _PASSES_ON):
                continue
            handles: list[torch.utils.hooks.RemovableHandle] = []
            handles.append(
                module.register_forward_hook(
                    lambda module, _args, output, handles=handles: note(module, output, handles[0])
                )
            )
            hooks.callback(handles[0].remove)
        yield found


def differences(trained: Computed, answering: Computed) -> list[str]:
    """A line for each class of module that computes otherwise when answering than in training.

    Classes that only one of them has are left out. A line reads
    ``peft Linear: bfloat16 in training, float32 when answering``.
    """
    return [
        f"{kind}: {', '.join(trained[kind])} in training, {', '.join(answering[kind])} when answering"
        for kind in sorted(trained.keys() & answering.keys())
        if trained[kind] != answering[kind]
    ]


def _name(module: torch.nn.Module) -> str:
    """Package and class: torch's Linear and peft's share a name."""
    return f"{type(module).__module__.partition('.')[0]} {type(module).__name__}"
