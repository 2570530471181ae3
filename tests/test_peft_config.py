from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from peft import IA3Config, LoraConfig

from sft_ref.errors import AdapterError
from sft_ref.io.peft_config import can_be_read, read_peft_config

LORA = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"]}


def written(folder: Path, content: object) -> Path:
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "adapter_config.json").write_text(text)
    return folder


def test_a_configuration_is_read_as_peft_saves_it(tmp_path: Path) -> None:
    LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"], base_model_name_or_path="x").save_pretrained(str(tmp_path))
    config: Any = read_peft_config(tmp_path)
    assert (config.r, config.lora_alpha, config.base_model_name_or_path) == (4, 8, None)
    IA3Config(target_modules=["q_proj"], feedforward_modules=[]).save_pretrained(str(tmp_path))
    assert can_be_read(tmp_path)


@pytest.mark.parametrize("start", ["pissa_niter_20000", "pissa", "olora", "loftq", "eva", "orthogonal"])
def test_no_initialisation_is_computed(tmp_path: Path, start: str) -> None:
    config: Any = read_peft_config(written(tmp_path, LORA | {"init_lora_weights": start}))
    assert config.init_lora_weights is True


@pytest.mark.parametrize(
    "change",
    [
        {"r": 10**7},
        {"r": -1},
        {"r": "8"},
        {"r": None, "lora_alpha": "x"},
        {"rank_pattern": {"q_proj": 10**7}},
        {"rank_pattern": [1]},
        {"target_modules": "(a+)+" * 20 + "$"},
        {"target_modules": 7},
        {"target_modules": None},
        {"peft_type": "VERA", "r": 10**9},
        {"peft_type": "NOTHING"},
        {"layer_replication": [[0, 10**7]]},
        {"peft_type": ["LORA"]},
        {"peft_type": None},
    ],
    ids=str,
)
def test_a_value_that_no_adapter_needs_is_refused_in_a_line(tmp_path: Path, change: dict[str, object]) -> None:
    folder = written(tmp_path, LORA | change)
    assert not can_be_read(folder)
    with pytest.raises(AdapterError, match=r"adapter_config\.json") as raised:
        read_peft_config(folder)
    assert "\n" not in str(raised.value).strip()


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, "7", "{", "\x00", '{"a": ' * 5000])
def test_what_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    assert not can_be_read(written(tmp_path, text))


def test_what_is_missing_or_no_file_is_refused(tmp_path: Path) -> None:
    assert not can_be_read(tmp_path)
    (tmp_path / "adapter_config.json").mkdir()
    assert not can_be_read(tmp_path)
