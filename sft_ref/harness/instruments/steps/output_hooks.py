"""Calls a function with the output of each module of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch


@contextmanager
def hook_outputs(
    modules: Iterable[tuple[str, torch.nn.Module]], note: Callable[[str, torch.Tensor], object]
) -> Iterator[None]:
    """Calls `note` with each module's name and floating-point output; of a tuple of outputs, with the first.

    The hooks are removed when the context ends.
    """

    def hook_of(name: str) -> Callable[..., None]:
        def hook(_module: object, _args: object, output: Any) -> None:  # noqa: ANN401  # any module's output
            first = output[0] if isinstance(output, (tuple, list)) and output else output
            if isinstance(first, torch.Tensor) and first.is_floating_point() and first.numel():
                note(name, first.detach())

        return hook

    with ExitStack() as hooks:
        for name, module in modules:
            hooks.callback(module.register_forward_hook(hook_of(name)).remove)
        yield
