"""A merged model by itself, held against base and adapter."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import families
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from sft_ref.cli import main as cli
from sft_ref.errors import SubmissionError
from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.verdict import Status, Verdict
from sft_ref.harness.grading.merged import grade_merged

Bases = Callable[[str], Path]


def merge(adapter: Path, base: Path, folder: Path, dtype: torch.dtype = torch.float32) -> Path:
    """Saves what peft merges in `dtype`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = families.load_base(base).to(dtype)
        merged = PeftModel.from_pretrained(model, str(adapter), autocast_adapter_dtype=False).merge_and_unload()
        merged.save_pretrained(folder)
    return folder


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Changes the weights of a model's folder."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def failed(verdict: Verdict) -> dict[str, str]:
    """The checks that fail, with what they observed."""
    return {each.check.id: each.observed for each in verdict.results if each.outcome is Outcome.FAIL}


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral"])
def test_a_sound_merge_is_sound(family: str, bases: Bases, tmp_path: Path) -> None:
    base = bases(family)
    adapter = families.train(base, tmp_path / "adapter", target_modules=families.FAMILIES[family][2])
    verdict = grade_merged(merge(adapter, base, tmp_path / "merged"), "m", adapter, base=str(base))
    assert verdict.status is Status.SOUND, failed(verdict)


@pytest.mark.parametrize("options", [{"use_dora": True}, {"use_rslora": True}, {"modules_to_save": ["lm_head"]}])
def test_other_kinds_of_lora_are_merged_as_peft_does(options: dict[str, Any], llama: Path, tmp_path: Path) -> None:
    adapter = families.train(llama, tmp_path / "adapter", target_modules=["q_proj", "v_proj"], **options)
    verdict = grade_merged(merge(adapter, llama, tmp_path / "merged"), "m", adapter, base=str(llama))
    assert verdict.status is Status.SOUND, failed(verdict)


def test_a_model_of_several_files_is_compared(adapter: Path, llama: Path, tmp_path: Path) -> None:
    folder = merge(adapter, llama, tmp_path / "merged")
    families.load_base(folder).save_pretrained(tmp_path / "sharded", max_shard_size="10KB")
    shards = sorted((tmp_path / "sharded").glob("model-*.safetensors"))
    assert len(shards) > 1
    shutil.copy(shards[0], tmp_path / "sharded" / "model-a-of-b.safetensors")  # no shard by its name
    assert grade_merged(tmp_path / "sharded", "m", adapter, base=str(llama)).status is Status.SOUND
    shards[0].unlink()
    assert "shards are there" in failed(grade_merged(tmp_path / "sharded", "m", adapter, base=str(llama)))["ART-301"]


def test_a_merge_that_was_not_saved_is_the_base(adapter: Path, llama: Path) -> None:
    verdict = grade_merged(llama, "m", adapter, base=str(llama))
    assert verdict.status is Status.BROKEN
    assert failed(verdict).keys() == {"ART-302"}
    assert "The adapter is not there" in verdict.cause


def test_an_adapter_that_is_merged_twice_is_found(adapter: Path, llama: Path, tmp_path: Path) -> None:
    once = merge(adapter, llama, tmp_path / "once")
    verdict = grade_merged(merge(adapter, once, tmp_path / "twice"), "m", adapter, base=str(llama))
    assert verdict.status is Status.BROKEN
    assert "the adapter is there twice" in failed(verdict)["ART-302"]


def test_one_layer_without_the_adapter_is_found(adapter: Path, llama: Path, tmp_path: Path) -> None:
    folder = merge(adapter, llama, tmp_path / "merged")
    name = "model.layers.1.self_attn.q_proj.weight"
    rewrite(folder, lambda tensors: tensors.update({name: load_file(llama / "model.safetensors")[name]}))
    verdict = grade_merged(folder, "m", adapter, base=str(llama))
    assert "the adapter is not there in 1 of" in failed(verdict)["ART-302"]
    assert verdict.suspects[0].example == name


def test_a_merge_in_bfloat16_that_is_stored_in_float32_is_named(adapter: Path, llama: Path, tmp_path: Path) -> None:
    folder = merge(adapter, llama, tmp_path / "merged", torch.bfloat16)
    rewrite(folder, lambda tensors: tensors.update({name: each.float() for name, each in tensors.items()}))
    verdict = grade_merged(folder, "m", adapter, base=str(llama))
    assert verdict.status is Status.BROKEN
    assert "as a merge in bfloat16 does" in failed(verdict)["ART-303"]


def test_a_merge_in_float32_that_is_stored_in_bfloat16_loses_rounding_only(
    adapter: Path, llama: Path, tmp_path: Path
) -> None:
    folder = merge(adapter, llama, tmp_path / "merged")
    rewrite(folder, lambda tensors: tensors.update({name: each.bfloat16() for name, each in tensors.items()}))
    assert "ART-303" not in failed(grade_merged(folder, "m", adapter, base=str(llama)))


def test_an_adapter_that_rounding_drowns_is_drift(adapter: Path, llama: Path, tmp_path: Path) -> None:
    weights = adapter / "adapter_model.safetensors"
    small = {name: each * 0.01 if "lora_B" in name else each for name, each in load_file(weights).items()}
    save_file(small, weights)
    folder = merge(adapter, llama, tmp_path / "merged")
    rewrite(folder, lambda tensors: tensors.update({name: each.bfloat16() for name, each in tensors.items()}))
    assert failed(grade_merged(folder, "m", adapter, base=str(llama))).keys() == {"ART-305"}


def test_another_base_is_found_by_weights_without_an_adapter(adapter: Path, llama: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(llama, tmp_path / "other"))
    rewrite(other, lambda tensors: tensors.update({"model.norm.weight": tensors["model.norm.weight"] * 1.1}))
    verdict = grade_merged(merge(adapter, other, tmp_path / "merged"), "m", adapter, base=str(llama))
    assert failed(verdict).keys() == {"ART-304"}


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda tensors: tensors.pop("model.norm.weight"), "1 weights of the base are not in the merged model"),
        (lambda tensors: tensors.update({"x.lora_A.weight": torch.ones(2)}), "1 tensors of an adapter"),
        (lambda tensors: tensors.update({"model.norm.weight": torch.ones(3)}), "have a different shape"),
    ],
)
def test_weights_that_are_not_the_bases_are_named(
    change: Callable[[dict[str, torch.Tensor]], None], seen: str, adapter: Path, llama: Path, tmp_path: Path
) -> None:
    folder = merge(adapter, llama, tmp_path / "merged")
    rewrite(folder, change)
    assert seen in failed(grade_merged(folder, "m", adapter, base=str(llama)))["ART-301"]


@pytest.mark.slow
def test_the_command_needs_the_adapter_and_takes_saved_evidence(
    adapter: Path, llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(merge(adapter, llama, tmp_path / "merged"))
    assert cli.main(["grade", folder]) == 2
    assert "give --adapter" in capsys.readouterr().err
    saved = tmp_path / "evidence.safetensors"
    words = ["--adapter", str(adapter), "--base", str(llama), "--save-evidence", str(saved)]
    assert cli.main(["grade", folder, *words]) == 0
    assert cli.main(["grade", str(saved)]) == 0
    assert capsys.readouterr().out.count("SOUND") == 2
    assert cli.main(["grade", str(adapter), *words[:4]]) == 2
    assert "is for a merged model" in capsys.readouterr().err


def test_an_adapter_that_cannot_be_judged_is_bad_input(llama: Path, tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="--adapter"):
        grade_merged(llama, "m", tmp_path, base=str(llama))


def test_a_weight_that_the_base_does_not_store_is_not_shown(bases: Bases, tmp_path: Path) -> None:
    """The output head of a base with tied weights."""
    base = Path(shutil.copytree(bases("llama"), tmp_path / "base"))
    adapter = families.train(base, tmp_path / "adapter", target_modules=["q_proj"], modules_to_save=["lm_head"])
    folder = merge(adapter, base, tmp_path / "merged")
    rewrite(base, lambda tensors: tensors.__delitem__("lm_head.weight"))
    verdict = grade_merged(folder, "m", adapter, base=str(base))
    assert verdict.status is Status.NOT_SHOWN
    assert failed(verdict) == {}
