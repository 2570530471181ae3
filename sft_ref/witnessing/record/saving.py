"""Writes the record wherever the adapter is saved."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sft_ref.io.foreign import first_line

from .layers import adapter_state
from .take import TakenRecord, remove_record


class SavingWithRecord:
    """Stands in place of a model's `save_pretrained`: saves as before, and then writes the record beside the adapter.

    A class and not a function, so that a deep copy of the model saves the copy.

    Attributes:
        model: whose method is replaced.
        take: takes the record of the model; returns None where this process does not write.
    """

    def __init__(self, model: Any, take: Callable[[Any], TakenRecord | None]) -> None:  # noqa: ANN401
        self.model = model
        self.take = take

    def __call__(self, save_directory: str | Path, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """As the model's own; a record that cannot be written is a warning, never the end of a training."""
        result = type(self.model).save_pretrained(self.model, save_directory, *args, **kwargs)
        if kwargs.get("is_main_process", True):
            self.write(Path(save_directory))
        return result

    def write(self, folder: Path) -> None:
        """Writes the record of the model beside its adapter."""
        state = adapter_state(self.model)
        name = state.active[0] if state and state.active else "default"
        place = folder if name == "default" else folder / name
        try:
            place.mkdir(parents=True, exist_ok=True)
            remove_record(place)
            if taken := self.take(self.model):
                taken.write(place)
        except Exception as error:  # noqa: BLE001  # the adapter is saved, and that matters more
            warnings.warn(f"no record of the training was written to {place}: {first_line(error)}", stacklevel=3)

    @classmethod
    def put_on(cls, model: Any, take: Callable[[Any], TakenRecord | None]) -> SavingWithRecord:  # noqa: ANN401
        """Replaces the method of one model."""
        saving = cls(model, take)
        model.save_pretrained = saving
        return saving
