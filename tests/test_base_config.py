"""Bases of strangers: what is sound is loaded in any form, and what is not is refused before it is built."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import families
import pytest
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from sft_ref.errors import BaseModelError
from sft_ref.reference.bases.checks import check_vocabulary
from sft_ref.reference.bases.find import TOY
from sft_ref.reference.models import load_model, load_tokenizer
from sft_ref.reference.precision import POLICIES


def rewrite(folder: Path, size: str) -> Path:
    """Saves a base in shards of at most a size, with an index."""
    families.load_base(folder).save_pretrained(folder.with_name("shards"), max_shard_size=size)
    return folder.with_name("shards")


@pytest.mark.parametrize("family", families.FAMILIES)
@pytest.mark.parametrize("tied", [True, False])
def test_a_sound_base_of_any_family_is_loaded_with_tied_weights_or_without(
    family: str, tied: bool, tmp_path: Path
) -> None:
    base = families.build_base(family, tmp_path / "base", tie_word_embeddings=tied)
    assert load_model(base, POLICIES["fp32"]).num_parameters() > 0


def test_a_sound_base_in_shards_is_loaded(tmp_path: Path) -> None:
    shards = rewrite(families.build_base("llama", tmp_path / "base"), "20KB")
    assert len(list(shards.glob("*.safetensors"))) > 1
    assert load_model(shards, POLICIES["fp32"]).num_parameters() > 0


def test_missing_weights_are_named_in_one_file_and_in_shards(tmp_path: Path) -> None:
    base = families.build_base("llama", tmp_path / "base")
    shards = rewrite(base, "20KB")
    lost = "model.layers.1.mlp.up_proj.weight"
    for folder in (base, shards):
        [path] = [each for each in folder.glob("*.safetensors") if lost in load_file(each)]
        tensors = load_file(path)
        del tensors[lost]
        save_file(tensors, path, metadata={"format": "pt"})
        index = folder / "model.safetensors.index.json"
        if index.exists():
            table = json.loads(index.read_text())
            del table["weight_map"][lost]
            index.write_text(json.dumps(table))
        with pytest.raises(BaseModelError, match=rf"lacks {lost} \(1 in all\)"):
            load_model(folder, POLICIES["fp32"])


@pytest.mark.parametrize("name", ["hidden_size", "intermediate_size", "vocab_size"])
def test_a_size_that_the_weights_cannot_have_is_refused_before_memory_is_spent(name: str, tmp_path: Path) -> None:
    shutil.copytree(TOY, tmp_path / "base")
    path = tmp_path / "base" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: 6 * 10**11}))
    with pytest.raises(BaseModelError, match=rf"{name} 6e\+11"):
        load_model(tmp_path / "base", POLICIES["fp32"])


def test_a_tokenizer_of_another_base_is_refused() -> None:
    model = load_model(TOY, POLICIES["fp32"])
    tokenizer = load_tokenizer(TOY)
    check_vocabulary(tokenizer, model, TOY)
    tokenizer.add_tokens([f"<{n}>" for n in range(20)])
    with pytest.raises(BaseModelError, match=r"with id 781, and its weights end at id 767"):
        check_vocabulary(tokenizer, model, TOY)


def test_code_of_a_base_is_never_run_whatever_is_on_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asks"))
    shutil.copytree(TOY, "base")
    Path("base", "evil.py").write_text("import pathlib; pathlib.Path('ran').touch()")
    code = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model", "AutoTokenizer": ["evil.T", None]}
    path = Path("base", "config.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "auto_map": code}))
    load_model(Path("base"), POLICIES["fp32"])  # transformers knows a llama, and needs none of it
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_type": "evil"}))
    with pytest.raises(BaseModelError, match="needs code of its own"):
        load_model(Path("base"), POLICIES["fp32"])
    load_tokenizer(Path("base"))  # its class is one of transformers'
    assert not Path("ran").exists()


def test_attention_that_the_configuration_names_is_not_fetched(tmp_path: Path) -> None:
    shutil.copytree(TOY, tmp_path / "base")
    path = tmp_path / "base" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "attn_implementation": "someone/attention"}))
    assert load_model(tmp_path / "base", POLICIES["fp32"]).config._attn_implementation == "eager"


def test_an_adapter_in_the_folder_of_a_base_is_not_applied_to_it(tmp_path: Path) -> None:
    shutil.copytree(TOY, tmp_path / "base")
    adapter = get_peft_model(load_model(TOY, POLICIES["fp32"]), LoraConfig(r=2, target_modules=["q_proj"]))
    adapter.save_pretrained(str(tmp_path / "base"))
    with pytest.raises(BaseModelError, match=r"holds adapter_config\.json as well"):
        load_model(tmp_path / "base", POLICIES["fp32"])
