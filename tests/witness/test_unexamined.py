"""What never reaches the model's forward is named as not examined; the rest is examined, and recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import witnessed

import sft_ref
from sft_ref.reference.tokens import IGNORE_INDEX
from sft_ref.witnessing.record.schema import read_stored
from sft_ref.witnessing.training.batches import observe_batch

SCHEDULE = {"schedule": "the planned learning rates are not known; the used ones are checked at the end"}


def own_cross_entropy(model: Any, batch: witnessed.Batch) -> torch.Tensor:
    """Labels are kept from the model."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten())


@pytest.mark.parametrize("stores_rows", [True, False])
def test_labels_that_the_model_never_sees(stores_rows: bool, tmp_path: Path) -> None:
    model = witnessed.adapted_toy()
    with sft_ref.witness(model, witnessed.chat_tokenizer(), tmp_path, store_text=stores_rows) as training:
        assert training.unexamined == {}
        witnessed.train_loop(model, witnessed.toy_batches(3), witnessed.adamw(model), loss=own_cross_entropy)
    assert training.faults == []
    assert training.unexamined == SCHEDULE | {
        "labels": "no labels reached the model's forward: the trainer computes its own loss from them",
        "loss": "labels are not known",
    }
    stored = read_stored(tmp_path).record
    assert stored.missing == training.unexamined
    if stores_rows:
        own = [ids for ids, _ in witnessed.toy_rows(4)]
        assert [(probe.input_ids, probe.labels) for probe in stored.probes] == [(ids, ids) for ids in own]
    else:
        assert {probe.source for probe in stored.probes} == {"held-out"}
    assert sft_ref.verify(model, witnessed.chat_tokenizer(), tmp_path).ok
    with model.disable_adapter():
        assert sft_ref.verify(model, witnessed.chat_tokenizer(), tmp_path).kinds == {"load"}


def test_all_is_examined_where_labels_reach_the_model(tmp_path: Path) -> None:
    model = witnessed.adapted_toy()
    with sft_ref.witness(model, None, tmp_path, steps=3) as training:
        witnessed.train_loop(model, witnessed.toy_batches(3), witnessed.adamw(model))
    assert training.unexamined == {}


def test_each_text_of_a_packed_row_is_a_row() -> None:
    rows = witnessed.toy_rows(3)
    ids, labels = ([each for row in rows for each in row[part]] for part in (0, 1))
    positions = [place for row, _ in rows for place in range(len(row))]
    behind = [0, 0]  # padding at the end of the row
    batch = {
        "input_ids": torch.tensor([ids + behind]),
        "labels": torch.tensor([labels + [IGNORE_INDEX] * 2]),
        "position_ids": torch.tensor([positions + behind]),
        "attention_mask": torch.tensor([[1] * len(ids) + behind]),
    }
    observed = observe_batch((), batch, is_training=True)
    assert observed is not None
    assert observed.is_packed
    assert [([*row.input_ids], [*row.labels]) for row in observed.rows] == rows
    plain = observe_batch((), {**batch, "position_ids": torch.arange(len(ids) + 2)[None]}, is_training=True)
    assert plain is not None
    assert not plain.is_packed
    assert len(plain.rows) == 1
