"""Records the optimizer steps of training: gradients, learning rates, and the tensors that change."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

_ADAPTER = ".lora_"
"""Part of the names of adapter tensors; the suffix that peft adds to the module name begins with it."""

_MOST_VALUES = 2**16
"""Maximum number of values of a tensor that are copied at a step."""


class OptimizerRecorder:
    """Records gradients and changes of a model's trained tensors, one optimizer step at a time.

    Args:
        model: the model with the trained tensors.
        adapter_alone: whether to record adapter tensors only. For a model without adapter tensors in peft's naming,
            only tensors in an optimizer are recorded: its base parameters may require gradients that nobody uses.

    Attributes:
        has_stepped: whether an optimizer stepped since the last call of `take`.
        is_sampled: whether the current step is in the sample.
    """

    def __init__(self, model: torch.nn.Module, *, adapter_alone: bool = False) -> None:
        self.is_sampled = False
        self._model = model
        names = [name for name, _ in model.named_parameters()]
        self._adapter_alone = adapter_alone and any(_ADAPTER in name for name in names)
        self._all_required = self._adapter_alone or not adapter_alone
        self._lengths: dict[str, torch.Tensor] = {}
        self._after: dict[tuple[str, ...], torch.Tensor] = {}
        self._watched: set[tuple[str, int]] = set()
        self._sums: dict[str, float] = {}
        self._error: Exception | None = None
        self._hooks: list[Any] = []
        self.watch()
        self._reset()

    def watch(self) -> None:
        """Adds hooks to trained tensors without hooks, such as tensors that are unfrozen during training."""
        for name, tensor in self._trained().items():
            if (name, id(tensor)) not in self._watched:
                self._watched.add((name, id(tensor)))
                before = functools.partial(self._before_gradient, name, tensor)
                after = functools.partial(self._after_gradient, name)
                self._hooks += [tensor.register_hook(before), tensor.register_post_accumulate_grad_hook(after)]

    def have_values_changed(self) -> bool:
        """Whether a trained tensor has changed since the last call; new tensors and NaN do not count."""
        before, trained = self._sums, self._trained()
        sums = [_sampled(tensor).double().sum() for tensor in trained.values()]
        self._sums = dict(zip(trained, torch.stack(sums).tolist() if sums else (), strict=True))
        return any(abs(each - before.get(name, each)) > 0 for name, each in self._sums.items())

    def forget_gradients(self) -> None:
        """Discards the record of gradients since the last step, because they belong to no step."""
        self._arrived.clear()
        self._stale.clear()
        self._filled.clear()
        self._dropped.clear()

    def _reset(self) -> None:
        self.has_stepped = False
        self._rate = self._decay = 0.0
        self._clipped: list[tuple[float, float]] = []
        self._betas: set[tuple[float, float]] = set()
        self._arrived: set[str] = set()
        self._stale: set[str] = set()
        self._filled: set[str] = set()
        self._dropped: set[str] = set()
        self._required: set[str] = set()
        self._stepped: set[str] = set()
        self._moved: set[str] = set()

    def remove_hooks(self) -> None:
        """Removes the hooks on the tensors."""
        for hook in self._hooks:
            hook.remove()

    def _trained(self) -> dict[str, torch.nn.Parameter]:
        return {
            name: tensor
            for name, tensor in self._model.named_parameters()
            if tensor.requires_grad and (not self._adapter_alone or _ADAPTER in name)
        }

    def _before_gradient(self, name: str, tensor: torch.Tensor, _gradient: torch.Tensor) -> None:
        """Runs before a gradient is accumulated; before the step's first, an existing one is stale.

        Before another, the gradient of the earlier ones must be there.
        """
        with self._kept_from_training():
            is_there = tensor.grad is not None and bool(tensor.grad.any())
            if name not in self._arrived:
                self._arrived.add(name)
                if is_there:
                    self._stale.add(name)
            elif name in self._filled and not is_there:
                self._dropped.add(name)

    def _after_gradient(self, name: str, tensor: torch.Tensor) -> None:
        if name not in self._filled and tensor.grad is not None:
            with self._kept_from_training():
                if tensor.grad.any():
                    self._filled.add(name)
        if self.is_sampled and tensor.grad is not None:
            with self._kept_from_training():
                self._lengths[name] = tensor.grad.detach().float().norm()

    @contextmanager
    def _kept_from_training(self) -> Iterator[None]:
        """Keeps exceptions out of the backward pass; the next `before_step` raises them instead."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # gradients may be of any type
            self._error = error

    def before_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Records the state before a step of an optimizer, which may be that of another model.

        Raises:
            Exception: a gradient could not be recorded.
        """
        if self._error is not None:
            raise self._error
        groups = {id(tensor): group for group in optimizer.param_groups for tensor in group["params"]}
        trained = self._trained()
        self._own = {name: tensor for name, tensor in trained.items() if id(tensor) in groups}
        if not self._own:
            return
        self._required |= trained.keys() if self._all_required else self._own.keys()
        self._stepped |= self._own.keys()
        self._gradients = {name: tensor.grad for name, tensor in self._own.items() if tensor.grad is not None}
        lengths = torch.stack([each.detach().float().norm() for each in self._gradients.values()] or [torch.zeros(())])
        self._moving = {name for name, length in zip(self._gradients, lengths.tolist(), strict=False) if length}
        self._stale |= self._moving - self._arrived
        raw = [self._lengths[name] for name in self._gradients if name in self._lengths]
        self._clipped.append((lengths.norm().item(), torch.stack(raw or [torch.zeros(())]).norm().item()))
        self._group_of = {name: groups[id(tensor)] for name, tensor in self._own.items()}
        self._rate = max(self._rate, *(_rate_of(group) for group in self._group_of.values()))
        self._betas.update(*(_betas_of(group) for group in self._group_of.values()))
        self._before = _values(self._own)

    def after_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Records the changes after the step."""
        if not self._own:
            return
        after, sizes = _values(self._own), [_sampled(tensor).numel() for tensor in self._own.values()]
        change = after - self._before
        self._moved |= {
            name
            for name, part in zip(self._own, change.split(sizes), strict=True)
            if name in self._moving and part.any()
        }
        self._decay = max(self._decay, self._decay_of(optimizer, change))
        self._after[tuple(self._own)] = after
        self.has_stepped = True

    def _decay_of(self, optimizer: torch.optim.Optimizer, change: torch.Tensor) -> float:
        """Returns the norm of the weight decay, relative to the norm of the step without it.

        A change between two steps, outside the optimizer, counts as decay.
        """
        left = self._after.get(tuple(self._own))
        decay = torch.zeros_like(change) if left is None else self._before - left
        factors = {name: float(group.get("weight_decay") or 0.0) for name, group in self._group_of.items()}
        if any(factors.values()):
            if not _is_decoupled(optimizer):
                added = math.hypot(*(factors[name] * tensor.norm().item() for name, tensor in self._own.items()))
                return added / self._clipped[-1][0] if self._clipped[-1][0] else 0.0
            rates = {name: _rate_of(group) * factors[name] for name, group in self._group_of.items()}
            sizes = [_sampled(tensor).numel() for tensor in self._own.values()]
            parts = zip(rates.values(), self._before.split(sizes), strict=True)
            own = torch.cat([-rate * part for rate, part in parts])
            decay, change = decay + own, change - own
        step = change.norm().item()
        return decay.norm().item() / step if step else 0.0

    def take(self) -> dict[str, Any]:
        """Returns the fields of a `RecordedStep`, and begins the next step."""
        modules = {_module_of(name) for name in self._required}
        used, raw = (math.hypot(*lengths) for lengths in zip(*self._clipped, strict=True))
        taken = {
            "rate": self._rate,
            "trained": frozenset(self._required),
            "outside": tuple(sorted(self._required - self._stepped)),
            "stale": tuple(sorted(self._stale & self._stepped)),
            "dropped": tuple(sorted(self._dropped & self._stepped)),
            "idle": tuple(sorted(modules - {_module_of(name) for name in self._moved})),
            "decay": self._decay,
            "clipping": used / raw if raw and self.is_sampled else None,
            "clipped": used,
            "betas": tuple(sorted(self._betas)),
        }
        self._reset()
        return taken


def _sampled(tensor: torch.Tensor) -> torch.Tensor:
    """Samples a tensor's values evenly: all of a usual LoRA matrix, enough of a larger one to detect changes."""
    return tensor.detach().flatten()[:: -(-tensor.numel() // _MOST_VALUES) or 1]


def _values(tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Copies the sampled values of all tensors into one fp32 vector."""
    return torch.cat([_sampled(tensor).float() for tensor in tensors.values()])


def _rate_of(group: Mapping[str, Any]) -> float:
    """Returns the learning rate of a parameter group; 0 if its optimizer chooses its own."""
    return float(group.get("lr") or 0.0)


def _betas_of(group: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Returns the betas of a parameter group; none unless they are two numbers between 0 and 1."""
    match group.get("betas"):
        case (float(one), float(two)) if 0 < one < 1 and 0 < two < 1:
            return [(one, two)]
    return []


def _module_of(name: str) -> str:
    """Returns the module that an adapter tensor belongs to."""
    return name.partition(_ADAPTER)[0]


def _is_decoupled(optimizer: torch.optim.Optimizer) -> bool:
    """Whether weight decay shrinks the weights directly, instead of being added to the gradient."""
    coupled = isinstance(optimizer, (torch.optim.SGD, torch.optim.Adam)) and type(optimizer).__name__ != "AdamW"
    return not coupled or any(group.get("decoupled_weight_decay") for group in optimizer.param_groups)
