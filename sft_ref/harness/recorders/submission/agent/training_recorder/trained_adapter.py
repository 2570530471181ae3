"""Copies the trained adapter whenever training may have ended, because the submission may replace or lose it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import peft
import torch

from ..inspection import active_adapters, changed_base_weights, unwrapped
from ..results import ResultWriter
from .optimizer_steps import OptimizerSteps


class TrainedAdapter:
    """The last copy of the trained adapter.

    Args:
        base_weights: weights of the base model, by name.
        steps: knows the model that is trained.
        writer: writes the adapter.

    Attributes:
        has_moved: whether the model was stepped or restored since the last copy.
        states: tensors by the adapter's name; the first is the model's adapter, others are active beside it.
        active: names of the active adapters.
        changed: names of base weights that training changed.
    """

    def __init__(self, base_weights: Mapping[str, torch.Tensor], steps: OptimizerSteps, writer: ResultWriter) -> None:
        self.base_weights, self.steps, self.writer = base_weights, steps, writer
        self.has_moved = False
        self.states: dict[str, dict[str, torch.Tensor]] = {}
        self.active: list[str] = []
        self.changed: list[str] = []
        self._configs: dict[str, Any] = {}
        self._peft_models: list[Any] = []
        self._get_state = peft.get_peft_model_state_dict  # before the submission can replace it

    # Called by the patches of libraries.

    def make_peft_model(self, original: Any, model: Any, /, *args: Any, **kwargs: Any) -> None:
        """Wraps `PeftModel.__init__`."""
        original(model, *args, **kwargs)
        self._peft_models.append(model)

    def save_peft_model(self, original: Any, model: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Wraps `PeftModel.save_pretrained`."""
        self.snapshot()
        return original(model, *args, **kwargs)

    def load_state_dict(self, original: Any, module: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Wraps `Module.load_state_dict`."""
        result = original(module, *args, **kwargs)
        if any(each is self.steps.model for each in module.modules()):
            self.has_moved = True
        return result

    # The copy.

    def snapshot(self) -> None:
        """Copies the current adapter, unless it was neither stepped nor restored since the last copy."""
        if self.states and not self.has_moved:
            return
        self.has_moved = False
        model = self._peft_models[-1] if self._peft_models else self.steps.model
        if model is None or not getattr(model, "peft_config", None):
            return
        name = getattr(model, "active_adapter", "default")
        name = name() if callable(name) else name
        name = name[0] if isinstance(name, list) else name
        try:
            active = active_adapters(model)
            states = {each: self._read_adapter(model, each) for each in dict.fromkeys((name, *active))}
        except Exception:  # noqa: BLE001  # an unsupported adapter
            return
        configs = {each: copy.deepcopy(model.peft_config[each]) for each in states}  # may be edited before saving
        self.changed = changed_base_weights(model, self.base_weights)
        self.states, self._configs, self.active = states, configs, active

    def _read_adapter(self, model: Any, name: str) -> dict[str, torch.Tensor]:
        """Returns one adapter's tensors by their names in a saved adapter, without name parts of torch's wrappers."""
        with torch.no_grad():
            state = self._get_state(model, adapter_name=name, save_embedding_layers=False)
        return {
            "base_model.model." + unwrapped(key).removeprefix("base_model.model."): tensor.cpu().clone()
            for key, tensor in state.items()
        }

    def write(self) -> None:
        """Writes the copy, each adapter into a folder of its own."""
        for number, (name, state) in enumerate(self.states.items()):
            folder = f"trained_{number}" if number else "trained"
            (self.writer.folder / folder).mkdir(parents=True, exist_ok=True)
            self._configs[name].save_pretrained(str(self.writer.folder / folder))
            self.writer.tensors(f"{folder}/adapter_model", state)
