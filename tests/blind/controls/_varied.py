"""The reference with one thing in its training done otherwise; a control names what."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from peft import set_peft_model_state_dict
from transformers import TrainerCallback, TrainingArguments

from sft_ref.harness.core.implementation import TrainingResult
from sft_ref.harness.recorders.in_process.reference import Reference
from sft_ref.reference.data import Row
from sft_ref.reference.guards.trainer import CarefulTrainer
from sft_ref.reference.settings import Settings
from sft_ref.reference.training import fit

Patches = Mapping[str, object]


class Varied(Reference):
    """The implementation.

    Args:
        name: of the control.
        patches: dotted name -> what is put in its place while it trains.
        policy: name of a policy; the default one if None.
        settings: hyperparameters in place of the requested ones.
    """

    claims_contract = False

    def __init__(self, name: str, patches: Patches, *, policy: str | None = None, **settings: Any) -> None:
        super().__init__(name=name, policy=policy)
        self.patches, self.changes = patches, settings

    def train(self, folder: Path, rows: Sequence[Row], settings: Settings) -> TrainingResult:
        """See `Implementation`."""
        changed = replace(settings, **self.changes)
        with contextlib.ExitStack() as stack:
            for name, replacement in self.patches.items():
                stack.enter_context(mock.patch(name, replacement))
            return replace(super().train(folder, rows, changed), settings=changed)


def arguments(**changes: Any) -> Patches:
    """Trains with other arguments of Trainer."""
    return {"sft_ref.reference.training.TrainingArguments": lambda **usual: TrainingArguments(**usual | changes)}


class Collected(TrainerCallback):
    """Collects adapter tensors while training goes on."""

    def __init__(self) -> None:
        self.tensors: dict[str, Any] = {}


def ending_with(make: Callable[[], Collected]) -> Patches:
    """Trains, and ends with the tensors that a callback has collected."""

    def fit_and_put(model: Any, *args: Any, **kwargs: Any) -> Any:
        collected = make()

        def watched(*own: Any, callbacks: list[TrainerCallback], **more: Any) -> CarefulTrainer:
            return CarefulTrainer(*own, callbacks=[*callbacks, collected], **more)

        with mock.patch("sft_ref.reference.training.CarefulTrainer", watched):
            history = fit(model, *args, **kwargs)
        set_peft_model_state_dict(model, collected.tensors)
        return history

    return {"sft_ref.reference.training.fit": fit_and_put}
