"""Trainer callbacks."""

from __future__ import annotations

import json
import math
from pathlib import Path

from transformers import TrainerCallback


class MetricsFile(TrainerCallback):
    """Appends what is logged to a file with a line of JSON each."""

    def __init__(self, path: Path):
        self.path = path

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps({"step": state.global_step, **(logs or {})}) + "\n")


class StopOnNaN(TrainerCallback):
    def on_log(self, args, state, control, logs=None, **kwargs):
        if logs and not math.isfinite(logs.get("loss", 0.0)):
            control.should_training_stop = True


class SaveAdapter(TrainerCallback):
    """Writes the adapter, and the settings with it, at the end."""

    def __init__(self, folder: Path, settings: dict):
        self.folder, self.settings = folder, settings

    def on_train_end(self, args, state, control, model=None, **kwargs):
        model.save_pretrained(self.folder)
        (self.folder / "settings.json").write_text(json.dumps(self.settings, indent=2))
