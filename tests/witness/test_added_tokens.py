"""A token that is added for training needs its row of the embedding wherever the adapter is loaded."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
import witnessed

import sft_ref
from sft_ref.cli.main import main

pytestmark = pytest.mark.usefixtures("in_this_process")


def train_with_a_new_token(folder: Path, *, saves_embedding: bool) -> Path:
    """Trains on texts that begin with a token beyond the base's embedding."""
    base, tokenizer = witnessed.load_toy(), copy.deepcopy(witnessed.tokenizer())
    first = len(base.get_input_embeddings().weight)
    tokenizer.add_tokens([f"<|new {n}|>" for n in range(len(tokenizer), first + 1)])
    base.resize_token_embeddings(first + 1, mean_resizing=False)
    model = witnessed.adapted_toy(base)
    batches = witnessed.toy_batches(4)
    for batch in batches:
        batch["input_ids"][:, 0] = first
    with sft_ref.witness(model, tokenizer, folder):
        witnessed.train_loop(model, batches, witnessed.adamw(model))
    model.peft_config["default"].base_model_name_or_path = "toy"
    model.save_pretrained(str(folder), save_embedding_layers=saves_embedding)
    tokenizer.save_pretrained(str(folder))
    return folder


def test_a_row_that_is_not_saved_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = train_with_a_new_token(tmp_path / "adapter", saves_embedding=False)
    assert main(["verify", str(folder), "--base", "toy"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("1 difference from the record")
    assert "the embedding has 768 rows, and the trained texts have the id 768" in out


def test_a_saved_row_is_as_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = train_with_a_new_token(tmp_path / "adapter", saves_embedding=True)
    assert main(["verify", str(folder), "--base", "toy"]) == 0, capsys.readouterr().out


def test_a_model_in_memory_without_the_row_is_reported(tmp_path: Path) -> None:
    folder = train_with_a_new_token(tmp_path / "adapter", saves_embedding=False)
    found = sft_ref.verify(witnessed.load_toy(), None, folder)
    assert any("the embedding has 768 rows" in each.what for each in found.differences)
    grown = witnessed.load_toy(torch.float32)
    grown.resize_token_embeddings(769, mean_resizing=False)
    assert not any("the embedding has" in each.what for each in sft_ref.verify(grown, None, folder).differences)
