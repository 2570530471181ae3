"""Observes the parameters of a model during training."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import torch

from sft_ref.reference.guards.dtypes import dtype_name
from sft_ref.reference.guards.names import plain
from sft_ref.witnessing.findings.observation import ObservedParameter, TrainingFault, listed, share
from sft_ref.witnessing.record.layers import is_of_adapter, whole

_LOOK = 16
"""Number of steps between two checks of the gradients' norms; each check waits for the device."""


class ParameterWatch:
    """Observes gradients and changes of a model's parameters."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._model = model
        self._named: dict[str, torch.nn.Parameter] = {}
        self._own: weakref.WeakKeyDictionary[torch.optim.Optimizer, bool] = weakref.WeakKeyDictionary()
        self._start: dict[str, torch.Tensor] = {}
        self._norms: list[torch.Tensor] = []
        self._stale: Any = None
        self._is_stale = self._is_broken = False
        self._trained: list[torch.nn.Parameter] = []

    def is_own(self, optimizer: torch.optim.Optimizer) -> bool:
        """Whether an optimizer contains a parameter of the model."""
        if optimizer not in self._own:
            ids = {id(parameter) for parameter in self._model.parameters()}
            self._own[optimizer] = any(id(each) in ids for group in optimizer.param_groups for each in group["params"])
        return self._own[optimizer]

    def has_gradients(self) -> bool:
        """Whether any parameter has a gradient."""
        return any(each.grad is not None for each in self._model.parameters())

    def snapshot(self) -> None:
        """Copies the adapter to the CPU before the first step."""
        self._named = dict(self._model.named_parameters())
        self._trained = [each for each in self._named.values() if each.requires_grad]
        self._start = {
            name: _local(parameter).detach().cpu().clone()
            for name, parameter in self._named.items()
            if is_of_adapter(name) and parameter.requires_grad
        }

    def observe(self, optimizer: torch.optim.Optimizer | None, rate: float | None) -> tuple[ObservedParameter, ...]:
        """Returns all parameters at the first step.

        Args:
            optimizer: the optimizer that is about to step; None counts every parameter as optimized.
            rate: the highest planned learning rate, if known.
        """
        held = None if optimizer is None else {id(each) for group in optimizer.param_groups for each in group["params"]}
        named = self._named or dict(self._model.named_parameters())
        saves_biases = any(getattr(each, "bias", "none") != "none" for each in _configs(self._model))
        return tuple(
            ObservedParameter(
                plain(name),
                plain(name.partition(".lora_")[0]),
                is_of_adapter(name) or (saves_biases and name.endswith(".bias")),
                parameter.requires_grad,
                held is None or id(parameter) in held,
                dtype_name(parameter),
                _norm(parameter.grad),
                None,
                _rounded_away(parameter, rate) if is_of_adapter(name) and rate else 0.0,
            )
            for name, parameter in named.items()
            if ".original_module." not in name
        )

    def after_first_step(self, rate: float) -> Iterator[TrainingFault]:
        """Reports an adapter that the first step did not change, and begins to watch for gradients left from it."""
        watched = next((each for each in self._trained if each.grad is not None and _local(each.grad).any()), None)
        if watched is not None:
            self._stale = watched.register_hook(self._before_gradient_of(watched))
        if self._start and rate > 0 and not self._moved():
            yield TrainingFault(
                f"the first step, at a learning rate of {rate:.2g}, changed no tensor of the adapter",
                "check that the optimizer holds the adapter's tensors, and that steps are not lost to rounding",
            )

    def _before_gradient_of(self, parameter: torch.nn.Parameter) -> Any:  # noqa: ANN401
        def look(_gradient: torch.Tensor) -> None:
            self.remove_hooks()
            self._is_stale = parameter.grad is not None and bool(_local(parameter.grad).any())

        return look

    def before_step(self, step: int) -> list[TrainingFault]:
        """Reports gradients left from the first step, and non-finite gradient norms, before a later step."""
        faults = []
        if self._is_stale:
            self._is_stale = False
            faults.append(
                TrainingFault(
                    "gradients of the first step are still there in the second one: they accumulate without end",
                    "call optimizer.zero_grad() after each optimizer step",
                )
            )
        gradients = [_local(each.grad) for each in self._trained if each.grad is not None]
        if gradients:
            self._norms.append(torch.stack(torch._foreach_norm(gradients)).sum())  # noqa: SLF001  # as in torch's gradient clipping
        if len(self._norms) >= _LOOK:
            faults += self._nonfinite(step)
        return faults

    def _nonfinite(self, last: int) -> list[TrainingFault]:
        """Reports non-finite norms among those recorded, up to step `last`."""
        finite = torch.stack(self._norms).isfinite().tolist()
        self._norms.clear()
        if all(finite) or self._is_broken:
            return []
        self._is_broken = True
        return [
            TrainingFault(
                f"the gradient's norm stops being finite at step {last - len(finite) + 1 + finite.index(False)}",
                "lower the learning rate, clip gradients, or train in fp32 or bf16 autocast",
                is_fatal=True,
            )
        ]

    def end_faults(self) -> Iterator[TrainingFault]:
        """Reports adapter modules that were never changed, and tensors that are not finite."""
        broken = [plain(name) for name in self._start if not self._named[name].isfinite().all()]
        if broken:
            yield TrainingFault(
                f"{share(len(broken), len(self._start), 'tensors')} of the adapter hold NaN or infinity"
                f" ({listed(broken)})",
                "lower the learning rate, clip gradients, or train in fp32 or bf16 autocast",
                is_fatal=True,
            )
        modules = {plain(name.partition(".lora_")[0]) for name in self._start}
        still = sorted(modules - self._moved())
        if still:
            yield TrainingFault(
                f"{share(len(still), len(modules), 'modules')} of the adapter never moved ({listed(still)})",
                "check that these modules take part in the forward, and that the optimizer holds their tensors",
                is_fatal=len(still) == len(modules),
            )

    def _moved(self) -> set[str]:
        """Returns the adapter modules with a tensor that differs from its initial value."""
        return {
            plain(name.partition(".lora_")[0])
            for name, before in self._start.items()
            if not torch.equal(_local(self._named[name]).detach().cpu(), before)
        }

    def remove_hooks(self) -> None:
        """Removes the hook on a parameter."""
        if self._stale is not None:
            self._stale.remove()
            self._stale = None


def _configs(model: Any) -> list[Any]:  # noqa: ANN401
    """Returns the configurations of the adapters."""
    return list(getattr(model, "peft_config", {}).values())


def _local(tensor: torch.Tensor) -> torch.Tensor:
    """Returns the part of a tensor that this process holds."""
    local = getattr(tensor, "to_local", None)
    return local() if local is not None else tensor


def _norm(gradient: torch.Tensor | None) -> float | None:
    return None if gradient is None else float(whole(gradient.detach()).float().norm())


def _rounded_away(parameter: torch.Tensor, rate: float) -> float:
    """Returns the share of values that a step of this length does not change: it is less than half their spacing."""
    values, limits = _local(parameter.detach()).float().abs(), torch.finfo(parameter.dtype)
    if not values.numel():
        return 0.0
    half = limits.eps * 2.0 ** values.clamp(min=limits.tiny).log2().floor() / 2
    return float((half > rate).float().mean())
