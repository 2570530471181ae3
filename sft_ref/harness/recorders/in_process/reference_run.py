"""A training of the reference for comparison. It is passed in: this module does not import the reference."""

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
        losses: loss of the true answer of each fresh row of the task, in nat per token; None if no training is
            shared, as with user rows.
        conditions: training conditions: the probes as they reach training, the settings, `lora_of` the folder, and the
            label smoothing. An implementation with the same conditions must reach these losses.
        train: trains another model, on given texts for a base model, with the LoRA configuration of an adapter folder,
            settings and label smoothing.
    """

    losses: torch.Tensor | None
    conditions: tuple[list[TrainingExample], Settings, dict[str, Any], float] | None
    train: Callable[[Sequence[TrainingExample], str, Path, Settings, float], Any]


def lora_of(folder: Path) -> dict[str, Any]:
    """Returns the entries of an adapter's configuration that determine its size and placement.

    Raises:
        UnreadableError: the configuration is no JSON object.
    """
    config = read_table(folder)
    targets = config.get("target_modules")
    return {name: config.get(name) for name in _LORA} | {
        "target_modules": sorted(targets) if isinstance(targets, list) else targets
    }
