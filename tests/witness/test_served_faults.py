"""What goes wrong between training and serving is found, and its kind is right; what is sound passes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import witnessed
from served_faults import FAULTS, SOUND, FolderFault, served, tokenizer_of

import sft_ref
from sft_ref.errors import SftRefError
from sft_ref.witnessing.verifying.folder import verify_folder
from sft_ref.witnessing.verifying.result import Verification


def copied(request: pytest.FixtureRequest, training: str, tmp_path: Path) -> Path:
    """A copy of an adapter, to be spoilt."""
    return shutil.copytree(request.getfixturevalue(training), tmp_path / "adapter")


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_and_its_kind_is_right(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    fault = FAULTS[name]
    folder = copied(request, fault.training, tmp_path)
    with witnessed.no_warnings():
        if isinstance(fault, FolderFault):
            base = fault.plant(folder)
            result = verify_folder(folder, None if base is None else str(base))
        else:
            result = sft_ref.verify(fault.load(folder), tokenizer_of(folder), folder)
    assert result.kinds == fault.kinds, str(result)
    with pytest.raises(SftRefError):
        result.raise_for_faults()


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_way_to_load_passes(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    sound = SOUND[name]
    folder = copied(request, sound.training, tmp_path)
    with witnessed.no_warnings():
        result = sft_ref.verify(sound.load(folder), tokenizer_of(folder), folder)
    assert result.ok, str(result)
    result.raise_for_faults()


@pytest.mark.parametrize("training", ["trained", "trained_dora", "trained_bf16", "trained_mixed"])
def test_a_folder_as_it_was_saved_passes(training: str, request: pytest.FixtureRequest) -> None:
    result = verify_folder(request.getfixturevalue(training))
    assert result.ok, str(result)
    assert set(result.examined) == {"artifact", "load", "tokenizer", "template", "base", "precision"}


def test_a_record_of_another_training_is_told_as_such(trained: Path, trained_again: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(trained, tmp_path / "adapter")
    for path in trained_again.glob("sft_ref_record.*"):
        shutil.copy(path, folder)
    result = verify_folder(folder)
    assert result.kinds == {"artifact", "load"}
    assert "the adapter is of another training" in str(result)


def test_the_model_stays_as_it_is(trained: Path) -> None:
    with witnessed.no_warnings():
        model = served(trained)
    model.get_base_model().model.layers[0].train()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    sft_ref.verify(model, tokenizer_of(trained), trained)
    assert modes == [module.training for module in model.modules()]
    assert all(torch.equal(each, model.state_dict()[name]) for name, each in before.items())
    assert torch.equal(state, torch.get_rng_state())


def test_an_empty_result_says_what_was_examined() -> None:
    assert str(Verification((), ("load",))) == "as recorded (load)"


def test_what_was_not_compared_is_not_called_as_recorded(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sft_ref.witnessing.verifying.verify.measure_outputs", lambda *_: None)  # as without probes
    with witnessed.no_warnings():
        result = sft_ref.verify(served(trained), None, trained)
    assert not {"load", "precision", "tokenizer", "template"} & {*result.examined}
    assert "the outputs are not compared" in str(result)
