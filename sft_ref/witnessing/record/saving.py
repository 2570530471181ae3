"""Writes the record whenever the adapter is saved."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sft_ref.io.foreign import first_line

from .create import UnwrittenRecord, remove_record
from .layers import find_peft
from .processes import is_first_process


def no_record() -> None:
    """Replaces `take` in a copy of a model, because the copy's training was not observed."""


class SavingWithRecord:
    """Replaces a model's `save_pretrained`: saves as before, and then writes the record beside the adapter.

    It is a class instead of a function, so that a copy of the model saves the copy.

    Args:
        model: the model whose method is replaced.
        take: function that returns the record; None if this process does not write.
    """

    def __init__(self, model: Any, take: Callable[[], UnwrittenRecord | None]) -> None:  # noqa: ANN401
        self._model = model
        self._take = take

    def __reduce__(self) -> tuple[object, ...]:
        return SavingWithRecord, (self._model, no_record)

    def __call__(self, save_directory: str | Path, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Saves the model; if the record cannot be written, it warns instead of ending the training."""
        result = type(self._model).save_pretrained(self._model, save_directory, *args, **kwargs)
        if kwargs.get("is_main_process", True):
            self.write(Path(save_directory))
        return result

    def write(self, folder: Path) -> None:
        """Writes the record beside the adapter, and replaces an existing one."""
        if not is_first_process():
            return
        peft_model = find_peft(self._model)
        name = peft_model.active_adapters[0] if peft_model is not None else "default"
        place = folder if name == "default" else folder / name
        try:
            place.mkdir(parents=True, exist_ok=True)
            remove_record(place)
            if taken := self._take():
                taken.write(place)
        except Exception as error:  # noqa: BLE001  # the adapter is saved, and that matters more
            warnings.warn(f"no record of the training was written to {place}: {first_line(error)}", stacklevel=3)


def save_with_record(model: Any, take: Callable[[], UnwrittenRecord | None]) -> SavingWithRecord:  # noqa: ANN401
    """Replaces `save_pretrained` of one model."""
    saving = SavingWithRecord(model, take)
    model.save_pretrained = saving
    return saving
