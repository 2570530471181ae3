"""The record beside an adapter: what was trained. `load` compares what it loads with it."""

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
    """What was trained.

    Attributes:
        base: name of the base, as the caller gave it.
        policy: name of the policy.
        dtypes: of every tensor and float buffer at the end of training.
        fingerprints: SHA-256 of the base's files, the adapter's tensors, the tokenizer's splitting, the prompt format.
        versions: of Python packages.
        settings: of training, the seed among them.
        computed: output dtypes of each class of module in training; empty where they were not traced.
    """

    base: str
    policy: str
    dtypes: Dtypes
    fingerprints: dict[str, str]
    versions: dict[str, str]
    settings: dict[str, Any]
    computed: dict[str, list[str]] = field(default_factory=dict)

    def to_json(self) -> str:
        """The record as text; `from_json` reads it back."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str) -> Record:
        """Reads a record.

        Raises:
            AdapterError: the text is no record, or one of a policy that this version does not know.
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
    """The record as far as it is known before training."""
    fingerprints = {**fingerprint_parts(base, tokenizer), "rows": digest([list(row) for row in rows])}
    return Record(base, policy.name, {}, fingerprints, library_versions(), asdict(settings))


def finish_record(
    record: Record, model: torch.nn.Module, computed: dict[str, list[str]], tensors: dict[str, torch.Tensor]
) -> Record:
    """Adds what is known after training: stored dtypes, output dtypes, and the fingerprint of the saved tensors."""
    fingerprints = {**record.fingerprints, "adapter": fingerprint_adapter(tensors)}
    return replace(record, dtypes=count_dtypes(model), computed=computed, fingerprints=fingerprints)


def read_record(folder: Path, tensors: dict[str, torch.Tensor]) -> Record | None:
    """Reads the record beside an adapter; None where `train` wrote none, as beside adapters of other tools.

    Raises:
        AdapterError: it cannot be read, or the tensors are not those that it was written for.
    """
    path = folder / RECORD
    if not is_ours(path):
        return None
    record = Record.from_json(read_bytes(path, Refusal(AdapterError, "train again, or delete it")), where=str(path))
    if record.fingerprints.get("adapter") != fingerprint_adapter(tensors):
        recorded, found = set(record.dtypes.get("adapter", {}).values()), set(map(dtype_name, tensors.values()))
        raise AdapterError(
            f"{path}: contradicts {WEIGHTS}: the tensors are not those that were trained (recorded"
            f" {', '.join(sorted(recorded))}, found {', '.join(sorted(found))}); copy the folder anew, or train again"
        )
    return record
