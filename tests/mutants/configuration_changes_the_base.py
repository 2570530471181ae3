"""The saved configuration names an initialisation that takes the base's main components away."""

import json
from pathlib import Path
from typing import Any

from mutation import Mutant

from sft_ref.reference import adapter

save_adapter = adapter.save_adapter


def save_pissa(model: Any, base: str, folder: Path) -> None:
    save_adapter(model, base, folder)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"init_lora_weights": "pissa"}))


MUTANT = Mutant(
    id="pissa-left",
    stage="artifact",
    checks=("ART-009",),
    fault="the configuration names PiSSA, though the adapter was trained over the whole base: loading changes the base",
    source="own: an adapter converted from PiSSA, whose configuration was kept",
    patches={"sft_ref.reference.adapter.save_adapter": save_pissa},
    resave=True,
)
