"""What modules compute in, in training and when answering."""

import contextlib
from pathlib import Path

import pytest
import torch

import sft_ref
from sft_ref import Settings
from sft_ref.cli.terminal import show_precision
from sft_ref.reference.guards.adapter_files import read_tensors
from sft_ref.reference.guards.dtypes import differences, output_dtypes
from sft_ref.reference.record import read_record


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed") / "adapter"
    sft_ref.train(folder, base="toy", policy="bf16-mixed", settings=Settings(steps=2, batch_size=4))
    return folder


def test_training_is_traced_by_class_of_module(mixed: Path) -> None:
    record = read_record(mixed, read_tensors(mixed))
    assert record is not None
    assert record.computed["peft Linear"] == record.computed["torch Linear"] == ["bfloat16"]
    assert record.computed["torch Embedding"] == ["float32"]


def test_answering_under_the_trained_policy_computes_as_training_did(
    mixed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show_precision(sft_ref.load(mixed), mixed)
    assert "computed: as in training, in every class of module" in capsys.readouterr().out


def test_autocast_that_is_absent_when_answering_is_seen_although_every_stored_dtype_is_right(
    mixed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sft_ref.reference.base_llm.computing", lambda model, policy: contextlib.nullcontext())
    show_precision(sft_ref.load(mixed), mixed)  # refuses where a stored dtype is not the trained one
    assert "computed: torch Linear: bfloat16 in training, float32 when answering" in capsys.readouterr().out


def test_only_the_first_output_counts_and_no_hook_stays() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout())
    with output_dtypes(model) as found:
        model(torch.ones(1, 2))
        model.bfloat16()(torch.ones(1, 2, dtype=torch.bfloat16))
    assert found == {"torch Linear": ["float32"]}
    assert not any(module._forward_hooks for module in model.modules())


def test_a_class_that_only_one_side_has_is_no_difference() -> None:
    assert differences({"a A": ["float32"], "b B": ["float32"]}, {"a A": ["float32"], "c C": ["float16"]}) == []
