"""What lies in a foreign adapter's folder is read or refused in a line; no tensor is needed for that."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import torch
from hypothesis import strategies as st
from safetensors.torch import save_file

from sft_ref.errors import AdapterError, SubmissionError
from sft_ref.harness.recorders.folder.files import find_files, named_adapters
from sft_ref.io.lora_config import CONFIG, INDEX, WEIGHTS, ConfigError, base_of, read_config, read_table, why_not_judged
from sft_ref.io.reading import UnreadableError
from sft_ref.reference.fingerprints import fingerprint_adapter
from sft_ref.reference.guards.adapter_files import read_base_name, read_tensors
from sft_ref.reference.record import RECORD, read_record

from .conftest import Search
from .strategies import ODD, changed, damaged, documents

TENSORS = {"base_model.model.layer.lora_A.weight": torch.ones(2, 4), "b": torch.zeros(3, dtype=torch.bfloat16)}
RECORDS = [
    {
        "base": "toy",
        "policy": "bf16-mixed+sdpa",
        "dtypes": {"base": {"weight": "float32"}, "adapter": {"weight": "float32"}},
        "fingerprints": {"adapter": fingerprint_adapter(TENSORS), "base": "1"},
        "versions": {"torch": "2.6"},
        "settings": {"rank": 8, "alpha": 32, "seed": 1},
        "computed": {"Linear": ["bfloat16", "float32"]},
    }
]
CONFIGS = [
    {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "base",
        "r": 8,
        "lora_alpha": 16,
        "target_modules": ["q_proj", "v_proj"],
        "exclude_modules": "lm_head",
        "rank_pattern": {"q_proj": 4},
        "alpha_pattern": {"^model.*q_proj$": 8.0},
        "layers_to_transform": [0, 1],
        "layers_pattern": "layers",
        "modules_to_save": ["embed_tokens"],
        "trainable_token_indices": {"embed_tokens": [1, 2]},
        "bias": "none",
        "use_rslora": True,
        "init_lora_weights": "gaussian",
    }
]
ENTRIES = {"lora_A": {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]}, "__metadata__": {"format": "pt"}}
INDEXES = [{"metadata": {"total_size": 32}, "weight_map": {"lora_A": "adapter_model-00001-of-00002.safetensors"}}]


@st.composite
def weights(draw: st.DrawFn) -> bytes:
    """A safetensors file with a header that is nearly right, and a length that may be another one."""
    header = json.dumps(draw(changed([ENTRIES]))).encode()
    length = draw(st.sampled_from([len(header)] * 6 + [0, 1, len(header) + 1, 10**8, 2**63, 2**64 - 1]))
    body = draw(st.sampled_from([bytes(32), bytes(31), b"", b"\xff" * 33]))
    return draw(damaged(length.to_bytes(8, "little") + header + body))


def test_records_beside_adapters(fuzz: Search, scratch: Path) -> None:
    def read(data: bytes) -> None:
        (scratch / RECORD).write_bytes(data)
        with contextlib.suppress(AdapterError):
            record = read_record(scratch, TENSORS)
            assert record is not None
            record.to_json()

    fuzz(read, documents(RECORDS))


def test_configurations_of_adapters(fuzz: Search, scratch: Path) -> None:
    def read(data: bytes) -> None:
        (scratch / CONFIG).write_bytes(data)
        with contextlib.suppress(AdapterError):
            read_base_name(scratch)
        with contextlib.suppress(UnreadableError):
            table = read_table(scratch)
            base_of(table)
            if not why_not_judged(table):
                with contextlib.suppress(ConfigError):
                    read_config(table)

    fuzz(read, documents(CONFIGS))


def test_weights_of_adapters(fuzz: Search, scratch: Path) -> None:
    save_file(TENSORS, scratch / CONFIG)

    def read(data: bytes) -> None:
        (scratch / WEIGHTS).write_bytes(data)
        files = find_files(scratch)
        assert files.damage or files.headers or files.shapes == {}
        with contextlib.suppress(AdapterError):
            read_tensors(scratch)

    fuzz(read, weights())


def test_shards_of_adapters(fuzz: Search, scratch: Path) -> None:
    numbers = st.sampled_from(["00001-of-00002", "1-of-1", "0-of-0", "2-of-9999999999", "\u0661-of-2", "1-of-1000"])

    def read(drawn: tuple[bytes, bytes, str]) -> None:
        index, shard, number = drawn
        for path in scratch.iterdir():
            path.unlink()
        (scratch / INDEX).write_bytes(index)
        (scratch / f"adapter_model-{number}.safetensors").write_bytes(shard)
        with contextlib.suppress(SubmissionError):
            find_files(scratch)
        named_adapters(scratch)

    fuzz(read, st.tuples(documents(INDEXES), weights(), numbers))


def test_values_in_configurations(fuzz: Search) -> None:
    """As above, past the reading of files."""

    def read(table: object) -> None:
        if isinstance(table, dict) and not why_not_judged(table):
            with contextlib.suppress(ConfigError):
                read_config(table)

    keys = st.sampled_from(list(CONFIGS[0]))
    tables = st.dictionaries(keys, ODD).map(lambda odd: {**CONFIGS[0], **odd})
    fuzz(read, tables | changed(CONFIGS))
