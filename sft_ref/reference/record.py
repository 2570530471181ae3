"""The record of a training, saved next to the adapter. `load` compares the loaded model with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sft_ref.errors import AdapterError, PrecisionError
from sft_ref.io.lora_config import WEIGHTS
from sft_ref.io.reading import Refusal, UnreadableError, json_of, read_bytes
from sft_ref.reference.guards.dtypes import Dtypes, count_dtypes, dtype_name
from sft_ref.reference.guards.record_format import is_ours
from sft_ref.reference.guards.rows import AnyRow

from .fingerprints import digest, fingerprint_adapter, fingerprint_parts, library_versions
from .precision import Policy, find_policy
from .settings import Settings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

RECORD = "sft_ref_record.json"


@dataclass(frozen=True)
class Record:
    """The record of a training.

    Attributes:
        base: name of the base, as the caller gave it.
        policy: name of the policy.
        dtypes: dtype of every tensor and float buffer at the end of training.
        fingerprints: SHA-256 of the base's files, adapter's tensors, tokenizer's output, prompt format and rows.
        versions: versions of Python packages.
        settings: training settings, including the seed.
        computed: output dtypes of each class of module in training; empty if they were not traced.
    """

    base: str
    policy: str
    dtypes: Dtypes
    fingerprints: dict[str, str]
    versions: dict[str, str]
    settings: dict[str, Any]
    computed: dict[str, list[str]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Returns the record as JSON text, which `from_json` reads."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str) -> Record:
        """Reads a record.

        Raises:
            AdapterError: the text is not a record, or its policy is unknown to this version.
        """
        try:
            record = json_of(text, cls)
            find_policy(record.policy)
        except (UnreadableError, PrecisionError) as error:
            raise AdapterError(f"{where}: is not a record of sft_ref ({error}); train again, or delete it") from error
        return record


def begin_record(
    base: str, tokenizer: PreTrainedTokenizerBase, policy: Policy, settings: Settings, rows: Sequence[AnyRow]
) -> Record:
    """Returns the part of the record that is known before training."""
    fingerprints = {**fingerprint_parts(base, tokenizer), "rows": digest([list(row) for row in rows])}
    return Record(base, policy.name, {}, fingerprints, library_versions(), asdict(settings))


def finish_record(
    record: Record, model: torch.nn.Module, computed: dict[str, list[str]], tensors: dict[str, torch.Tensor]
) -> Record:
    """Adds the part known after training: stored dtypes, output dtypes, and the fingerprint of the saved tensors."""
    fingerprints = {**record.fingerprints, "adapter": fingerprint_adapter(tensors)}
    return replace(record, dtypes=count_dtypes(model), computed=computed, fingerprints=fingerprints)


def read_record(folder: Path, tensors: dict[str, torch.Tensor]) -> Record | None:
    """Reads the record next to an adapter; None if `train` wrote none, as for adapters of other tools.

    Raises:
        AdapterError: the record cannot be read, or belongs to other tensors.
    """
    path = folder / RECORD
    if not is_ours(path):
        return None
    record = Record.from_json(read_bytes(path, Refusal(AdapterError, "train again, or delete it")), where=str(path))
    if record.fingerprints.get("adapter") != fingerprint_adapter(tensors):
        recorded, found = set(record.dtypes.get("adapter", {}).values()), set(map(dtype_name, tensors.values()))
        raise AdapterError(
            f"{path}: contradicts {WEIGHTS}: the tensors are not those that were trained (recorded"
            f" {', '.join(sorted(recorded))}, found {', '.join(sorted(found))}); copy the folder again, or train again"
        )
    return record
