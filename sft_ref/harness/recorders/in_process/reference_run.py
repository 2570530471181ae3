"""A training of the reference that others are compared with. It is passed in: nothing here imports the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_ref.harness.core.training_examples import TrainingExample
from sft_ref.io.lora_config import read_table
from sft_ref.reference.settings import Settings

if TYPE_CHECKING:
    import torch

_LORA = ("r", "lora_alpha", "target_modules", "use_rslora", "use_dora")


@dataclass(frozen=True)
class ReferenceRun:
    """A sound training by the reference.

    Attributes:
        losses: of the true answers of the fresh rows of a task, a row each, in nat a token; None where no training is
            shared, as with rows of one's own.
        conditions: what it was trained on and with: the probes as they reach it, its settings, `lora_of` its folder,
            and its label smoothing. Who shares them must reach its losses.
        train: trains another, on given texts of a base, with the LoRA of an adapter folder and with given settings and
            label smoothing.
    """

    losses: torch.Tensor | None
    conditions: tuple[list[TrainingExample], Settings, dict[str, Any], float] | None
    train: Callable[[Sequence[TrainingExample], str, Path, Settings, float], Any]


def lora_of(folder: Path) -> dict[str, Any]:
    """What an adapter's configuration says of its size and place.

    Raises:
        UnreadableError: it is no JSON object.
    """
    config = read_table(folder)
    targets = config.get("target_modules")
    return {name: config.get(name) for name in _LORA} | {
        "target_modules": sorted(targets) if isinstance(targets, list) else targets
    }
