"""Trainings of the toy with a witness, once a session; tests spoil copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import witnessed

import sft_ref


def train(folder: Path, base: Any = None, *, autocast: torch.dtype | None = None, **lora: Any) -> Path:
    """An adapter with record and tokenizer, as a loop of one's own leaves them."""
    model = witnessed.adapted_toy(base, **{"lora_dropout": 0.05, **lora})
    tokenizer = witnessed.chat_tokenizer()
    with sft_ref.witness(model, tokenizer, folder):
        witnessed.train_loop(model, witnessed.toy_batches(8), witnessed.adamw(model, 3e-3), autocast=autocast)
    model.peft_config["default"].base_model_name_or_path = "toy"
    model.save_pretrained(str(folder), save_embedding_layers=False)
    tokenizer.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In fp32."""
    return train(tmp_path_factory.mktemp("witness") / "fp32")


@pytest.fixture(scope="session")
def trained_dora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In fp32, with DoRA and rank-stabilised scaling."""
    return train(tmp_path_factory.mktemp("witness") / "dora", use_dora=True, use_rslora=True)


@pytest.fixture(scope="session")
def trained_bf16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Over a base in bf16."""
    return train(tmp_path_factory.mktemp("witness") / "bf16", witnessed.load_toy(torch.bfloat16))


@pytest.fixture(scope="session")
def trained_mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Under bf16 autocast over a base in fp32."""
    return train(tmp_path_factory.mktemp("witness") / "mixed", autocast=torch.bfloat16)


@pytest.fixture(scope="session")
def trained_again(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another training in fp32."""
    return train(tmp_path_factory.mktemp("witness") / "again", seed=1)
