"""A whole model beside an adapter: merged with it, the base itself, or another."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import families
import pytest
import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file

from sft_ref.harness.core.verdict import Status, Verdict
from sft_ref.harness.grading.folder import grade_adapter

Bases = Callable[[str], Path]
Sound = Callable[[Path, Path], Verdict]
Broken = Callable[..., Verdict]


def merge_into(folder: Path, base: Path, dtype: torch.dtype = torch.float32, **options: str) -> None:
    """Saves the merged model in the adapter's own folder, as scripts do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        merged = PeftModel.from_pretrained(families.load_base(base), str(folder)).merge_and_unload()
        merged.to(dtype).save_pretrained(folder, **options)


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_merged_model_beside_its_adapter_is_broken(
    family: str, dtype: torch.dtype, bases: Bases, tmp_path: Path, assert_broken: Broken
) -> None:
    base = bases(family)
    folder = families.train(base, tmp_path / "adapter", target_modules=families.FAMILIES[family][2])
    merge_into(folder, base, dtype)
    assert_broken(folder, base, "ART-207", "the base with this adapter merged into it", "a second time")


def test_a_merged_model_in_shards_is_broken_too(adapter: Path, llama: Path, assert_broken: Broken) -> None:
    merge_into(adapter, llama, max_shard_size="20KB")
    assert len(list(adapter.glob("model-*.safetensors"))) > 1
    assert_broken(adapter, llama, "ART-207")


def test_merging_beside_makes_transformers_apply_the_adapter_twice(adapter: Path, llama: Path) -> None:
    """The fault that is named, as it happens."""
    ids = torch.arange(3, 20)[None]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        due = PeftModel.from_pretrained(families.load_base(llama), str(adapter))(ids).logits
        merge_into(adapter, llama)
        families.edit_config(adapter, base_model_name_or_path=str(llama))
        found = transformers.AutoModelForCausalLM.from_pretrained(adapter, dtype=torch.float32)(ids).logits
    assert (found - due).abs().max() > 0.1 * due.abs().max()


@pytest.mark.parametrize(("other", "words"), [(False, "the base's own weights"), (True, "a different model")])
def test_another_model_beside_an_adapter_is_drift(
    other: bool, words: str, adapter: Path, llama: Path, tmp_path: Path
) -> None:
    model = families.build_base("llama", tmp_path / "other", seed=7) if other else llama
    shutil.copytree(model, adapter, dirs_exist_ok=True)
    verdict = grade_adapter(adapter, "adapter", base=str(llama), prompt=None)
    assert verdict.status is Status.DRIFT
    assert words in verdict.cause
    assert verdict.examined_stages == ("artifact", "load")


def test_a_configuration_alone_beside_an_adapter_is_sound(adapter: Path, llama: Path, assert_sound: Sound) -> None:
    shutil.copy(llama / "config.json", adapter)
    assert_sound(adapter, llama)


def test_experts_of_transformers_4_are_understood(bases: Bases, tmp_path: Path, assert_sound: Sound) -> None:
    """Version 5 stacks them; peft converts what was saved for single ones."""
    base = bases("mixtral")
    folder = families.train(base, tmp_path / "adapter", target_modules=["q_proj"])

    def add(tensors: families.Tensors) -> families.Tensors:
        torch.manual_seed(0)
        for layer in range(2):
            for expert in range(4):
                for name, (out, into) in {"w1": (48, 32), "w2": (32, 48), "w3": (48, 32)}.items():
                    key = f"base_model.model.model.layers.{layer}.block_sparse_moe.experts.{expert}.{name}"
                    tensors[f"{key}.lora_A.weight"] = 0.1 * torch.randn(4, into)
                    tensors[f"{key}.lora_B.weight"] = 0.1 * torch.randn(out, 4)
        return tensors

    families.edit_tensors(folder, add)
    families.edit_config(folder, target_modules=["q_proj", "w1", "w2", "w3"])
    assert "block_sparse_moe" in json.dumps(sorted(load_file(folder / families.WEIGHTS)))
    assert_sound(folder, base)
