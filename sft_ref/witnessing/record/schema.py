"""Defines the format of the record: a JSON file of texts and hashes, and a safetensors file of numbers."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from msgspec import Meta

from sft_ref.errors import AdapterError
from sft_ref.io.foreign import foreign_files
from sft_ref.io.reading import Finite, Refusal, UnreadableError, json_of, kind_of, read_bytes, shortened
from sft_ref.io.strict_json import strict, to_text
from sft_ref.io.tensor_headers import read_header
from sft_ref.reference.guards.record_format import FORMAT_OF_WITNESS, RecordFormat
from sft_ref.reference.record import RECORD

TENSORS = "sft_ref_record.safetensors"

RUNS = ("trained", "trained_fp32", "base", "base_fp32")
"""The ways to run the probes: by the trained model and by its base model alone, each as in training and in float32."""

_Id = Annotated[int, Meta(ge=0, le=2**31 - 1)]
_Label = Annotated[int, Meta(ge=-100, le=2**31 - 1)]
_Hash = Annotated[str, Meta(max_length=64)]

_MOST_PROBES, _LONGEST_PROBE = 64, 4096

Autocast = Literal["float16", "bfloat16", "float32"]
"""Dtypes of autocast; a torch dtype name that is read from a file must be one of these."""

MOST_ROWS = 64
"""Number of rows whose hashes are recorded."""

_REFUSAL = Refusal(AdapterError, "copy the folder again, or train again with the witness")


@dataclass(frozen=True)
class TrainedPrecision:
    """The precision of a training, with torch's names of dtypes ("float32").

    Attributes:
        base: dtype of most base weights.
        adapter: dtype of most adapter tensors; None without an adapter.
        autocast: autocast dtype in the forward pass; None if autocast is off.
        attention: attention backend, as named by transformers.
    """

    base: str
    adapter: str | None
    autocast: Autocast | None
    attention: str | None


@dataclass(frozen=True)
class TensorFingerprint:
    """The fingerprint of an adapter tensor.

    Attributes:
        dtype, shape: dtype and shape of the tensor in memory.
        sha256: the first 32 digits of the SHA-256 of its values in float32.
        norm: Euclidean norm.
        sample: some of its values, at even distances.
    """

    dtype: str
    shape: list[_Id]
    sha256: _Hash
    norm: Finite | None
    sample: list[Finite | None]


@dataclass(frozen=True)
class TokenizerFingerprint:
    """The fingerprint of a tokenizer.

    Attributes:
        size: number of tokens, including added ones.
        vocabulary: SHA-256 of all tokens with their ids.
        special: maps the names of special tokens to their ids.
        samples: token ids of each text in `fingerprints.SAMPLES`.
    """

    size: int
    vocabulary: _Hash
    special: dict[str, int | None]
    samples: list[list[_Id]]


@dataclass(frozen=True)
class TemplateFingerprint:
    """SHA-256 of a chat template, and of some conversations that it renders; None if it renders none of them."""

    text: _Hash
    rendered: _Hash | None


@dataclass(frozen=True)
class Probe:
    """A row on which models are compared.

    Attributes:
        source: "training" for a row of the training data, or "held-out" for another text.
        input_ids: token ids without padding.
        labels: one label for each id; -100 if the token is not supervised.
        positions: indices into `input_ids` of the tokens whose prediction is recorded.
        losses: maps names in `RUNS` to the mean loss of the supervised tokens in nat; None if it was not computed.
    """

    source: str
    input_ids: Annotated[list[_Id], Meta(min_length=2, max_length=_LONGEST_PROBE)]
    labels: Annotated[list[_Label], Meta(max_length=_LONGEST_PROBE)]
    positions: Annotated[list[_Id], Meta(min_length=1)]
    losses: dict[str, Finite | None]


@dataclass(frozen=True)
class TrainingRecord:
    """The record of a training.

    Attributes:
        format: `FORMAT_OF_WITNESS`; records of `sft_ref.train` have none.
        step: number of optimizer steps so far.
        base: name of the base model, as in the adapter's configuration.
        precision: precision of the training.
        dtypes: maps the name of every tensor and float buffer to its dtype, with ``*`` for the layer number.
        scalings: maps each base module to its effective factor on B @ A.
        lora: the settings of the adapter's configuration that affect its delta.
        adapter: maps tensor names in the file to fingerprints.
        base_config: the settings of the base model's configuration that affect its outputs.
        tokenizer, template: fingerprints; None if there is no tokenizer or template.
        probes: rows on which models are compared.
        rows: SHA-256 of the first training rows.
        sketched: names of the base model's tensors, in the order of the sketch in the other file.
        missing: maps the parts that could not be recorded to the reason.
        versions, seed, device: further circumstances that affect the numbers.
        tensors_sha256: SHA-256 of the other file.
    """

    format: int
    step: int
    base: str | None
    precision: TrainedPrecision
    dtypes: dict[str, str]
    scalings: dict[str, Finite]
    lora: dict[str, Any]
    adapter: dict[str, TensorFingerprint]
    base_config: dict[str, Any]
    tokenizer: TokenizerFingerprint | None
    template: TemplateFingerprint | None
    probes: Annotated[list[Probe], Meta(max_length=_MOST_PROBES)]
    rows: list[_Hash]
    sketched: list[str]
    missing: dict[str, str]
    versions: dict[str, str]
    seed: int | None
    device: str
    tensors_sha256: _Hash


@dataclass(frozen=True)
class StoredRecord:
    """A record with the tensors of its safetensors file."""

    record: TrainingRecord
    tensors: dict[str, torch.Tensor]

    def run(self, name: str) -> torch.Tensor | None:
        """Returns recorded logits of a run at `tensors["top_ids"]`: (probes, positions, ids), NaN if not recorded."""
        return self.tensors.get(f"logits_{name}")


def to_json(record: TrainingRecord) -> str:
    """Returns the text of the JSON file."""
    return to_text(strict(asdict(record)))


def digest_bytes(content: bytes) -> str:
    """Returns the SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def read_stored(folder: Path) -> StoredRecord:
    """Reads the record in a folder.

    Raises:
        AdapterError: there is no record, or it is one of `sft_ref.train`, of another version, or damaged.
    """
    from safetensors.torch import load

    path = folder / RECORD
    if kind_of(folder) != "folder":
        raise AdapterError(f"{shortened(folder)}: is not a folder; give the folder of an adapter with its record")
    if kind_of(path) is None:
        raise AdapterError(f"{folder}: holds no {RECORD}; train with sft_ref.Witness() or sft_ref.witness(...)")
    content = read_bytes(path, _REFUSAL)
    try:
        found = json_of(content, RecordFormat).format
        if found is None:
            raise AdapterError(
                f"{path}: is a record of sft_ref.train, which verify does not read; sft_ref.load compares with it"
            )
        if found != FORMAT_OF_WITNESS:
            raise AdapterError(
                f"{path}: has format {found}, and this version reads {FORMAT_OF_WITNESS}; update sft_ref"
            )
        record = json_of(content, TrainingRecord)
        beside = folder / TENSORS
        raw = read_bytes(beside, _REFUSAL)
        _check_hash(record, raw)
        read_header(beside)
        with foreign_files(AdapterError, f"{beside}: cannot be read"):
            tensors = load(raw)
        _check(record, tensors)
    except UnreadableError as error:
        raise _REFUSAL.of(path, error) from error
    return StoredRecord(record, tensors)


def _check_hash(record: TrainingRecord, raw: bytes) -> None:
    if digest_bytes(raw) != record.tensors_sha256:
        raise UnreadableError(f"{TENSORS} does not belong to it")


def _check(record: TrainingRecord, tensors: dict[str, torch.Tensor]) -> None:
    """Raises UnreadableError if parts of a record are inconsistent."""
    for number, probe in enumerate(record.probes):
        if len(probe.input_ids) != len(probe.labels):
            raise UnreadableError(f"probe {number} has {len(probe.input_ids)} ids and {len(probe.labels)} labels")
        if any(not 0 < position < len(probe.input_ids) for position in probe.positions):
            raise UnreadableError(f"probe {number} has a position outside of its ids")
    top = tensors.get("top_ids", torch.zeros(0))
    most = max((len(probe.positions) for probe in record.probes), default=0)
    if top.ndim != 3 or top.shape[0] != len(record.probes) or top.shape[1] < most or (top < -1).any():  # noqa: PLR2004
        raise UnreadableError("top_ids is not (probes, positions, ids)")
    runs = {name: tensor for name, tensor in tensors.items() if name.startswith("logits_")}
    if odd := next((name for name, tensor in runs.items() if tensor.shape != top.shape), None):
        raise UnreadableError(f"{odd} has another shape than top_ids")
    rows = {name: tensors[name].shape for name in SKETCH if name in tensors}
    if len(rows) != len(SKETCH) or len(set(rows.values())) != 1 or len(tensors[SKETCH[0]]) != len(record.sketched):
        raise UnreadableError(f"{', '.join(SKETCH)} do not fit the names of `sketched`")
    if any(not tensors[name].is_floating_point() for name in (*runs, *SKETCH[1:])):
        raise UnreadableError("logits or a sketch are not floating-point numbers")


SKETCH = ("sketch_index", "sketch_value", "sketch_added")
"""Names of the sketch's tensors, each of shape (sketched tensors, samples)."""
