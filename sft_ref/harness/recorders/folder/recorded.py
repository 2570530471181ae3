"""What the record of sft_ref beside an adapter says against the folder: tensors or scaling that changed since."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from sft_ref.errors import AdapterError
from sft_ref.io.lora_config import AdapterConfig
from sft_ref.io.reading import UnreadableError, plain_bytes
from sft_ref.reference.fingerprints import fingerprint_adapter
from sft_ref.reference.record import RECORD
from sft_ref.reference.record import Record as Written

from .evidence import Record
from .files import is_file


def compare_record(folder: Path, config: AdapterConfig, tensors: Mapping[str, torch.Tensor]) -> Record | None:
    """What the record contradicts; None where there is none that can be read."""
    path = folder / RECORD
    if not is_file(path):
        return None
    try:
        written = Written.from_json(plain_bytes(path), where=path.name)
    except (AdapterError, UnreadableError):
        return None
    found = []
    if written.fingerprints.get("adapter") != fingerprint_adapter(dict(tensors)):
        found.append("the tensors are not those that were trained")
    for name, value in (("rank", config.rank), ("alpha", config.alpha)):
        trained = written.settings.get(name)
        if isinstance(trained, int | float) and trained != value:
            found.append(f"{name} was {trained:g} in training, the configuration says {value:g}")
    return Record(tuple(found))
