"""What the modules of a model put out while it answers, in whatever context the implementation computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from .puppet import Ids, find_head


@contextmanager
def last_outputs(model: Any) -> Iterator[list[tuple[str, torch.Tensor]]]:  # noqa: ANN401  # plain or wrapped by peft
    """Within it, each module's name and its output at the last token of every row are added to the list."""
    found: list[tuple[str, torch.Tensor]] = []

    def note(name: str, output: Any) -> None:  # noqa: ANN401  # a tensor, a tuple, or an output of transformers
        first = output[0] if isinstance(output, (tuple, list)) and output else output
        if isinstance(first, torch.Tensor) and first.is_floating_point() and first.ndim > 1:
            found.append((name, first[:, -1].detach()))

    owner, _ = find_head(model)
    with ExitStack() as hooks:
        for name, module in owner.named_modules():
            hook = module.register_forward_hook(lambda _module, _args, output, name=name: note(name, output))
            hooks.callback(hook.remove)
        yield found


@contextmanager
def first_states(model: Any) -> Iterator[list[tuple[Ids, torch.Tensor]]]:  # noqa: ANN401  # plain or wrapped by peft
    """Within it, the first row's ids and last hidden states at each forward are added to the list, padding left out."""
    found: list[tuple[Ids, torch.Tensor]] = []

    def note(_module: object, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:  # noqa: ANN401
        ids = kwargs["input_ids"] if "input_ids" in kwargs else args[0]
        mask = kwargs.get("attention_mask")
        kept = mask[0, -ids.shape[1] :].bool() if mask is not None and mask.ndim == ids.ndim else ids[0] == ids[0]
        found.append((tuple(ids[0][kept].tolist()), output[0][0][kept].detach().float()))

    owner, _ = find_head(model)
    hook = owner.base_model.register_forward_hook(note, with_kwargs=True)
    try:
        yield found
    finally:
        hook.remove()


@contextmanager
def computed_dtypes(model: torch.nn.Module) -> Iterator[set[torch.dtype]]:
    """Within it, the dtype of each Linear layer's output is added to the set, which begins with fp32."""
    found = {torch.float32}
    with ExitStack() as hooks:
        for module in model.modules():
            if isinstance(module, torch.nn.Linear):
                hook = module.register_forward_hook(lambda _module, _args, output: found.add(output.dtype))
                hooks.callback(hook.remove)
        yield found
