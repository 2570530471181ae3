"""Every LoRA that peft makes is understood: sound as it is saved, and not once a flag or a tensor of it is changed."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import families
import pytest
import torch
from peft.tuners.lora import LoraLayer

from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.verdict import Status, Verdict
from sft_ref.harness.evidence.answers import AnswersEvidence
from sft_ref.harness.grading.folder import grade_adapter
from sft_ref.harness.recorders.folder import loading, recorder
from sft_ref.reference.bases.find import TOY

Bases = Callable[[str], Path]
Sound = Callable[[Path, Path], Verdict]
Broken = Callable[..., Verdict]
Spoil = Callable[[Path], Path]

LINEARS = ["q_proj", "v_proj"]


def without(part: str) -> Spoil:
    return lambda folder: families.drop(folder, part)


def config(**changes: Any) -> Spoil:
    return lambda folder: families.edit_config(folder, **changes)


FEATURES: dict[str, tuple[str, dict[str, Any], Spoil, str, str]] = {
    "rslora": (
        "llama",
        {"use_rslora": True},
        config(r=8),
        "ART-219",
        "a different rank from that of the configuration (4, not 8)",
    ),
    "dora on": ("llama", {}, config(use_dora=True), "ART-214", "no magnitude vectors (0 of 4)"),
    "dora off": ("llama", {"use_dora": True}, config(use_dora=False), "ART-214", "4 magnitude vectors of DoRA"),
    "rank_pattern": (
        "llama",
        {"rank_pattern": {"v_proj": 8}, "alpha_pattern": {"v_proj": 32}},
        config(rank_pattern={}),
        "ART-219",
        "(8, not 4)",
    ),
    "Conv1D": (
        "gpt2",
        {"target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True},
        without("c_attn.lora_A"),
        "ART-216",
        "2 of 6 lora_A",
    ),
    "bias all": (
        "opt",
        {"bias": "all"},
        without("fc1.bias"),
        "ART-220",
        "the configuration sets bias to 'all', but the file lacks 2 biases",
    ),
    "bias lora_only": ("opt", {"bias": "lora_only"}, without("v_proj.base_layer.bias"), "ART-220", "lacks 2 biases"),
    "lora_bias": (
        "opt",
        {"lora_bias": True},
        config(lora_bias=False),
        "ART-221",
        "4 of 12 tensors belong to no module",
    ),
    "lm_head saved": (
        "llama",
        {"modules_to_save": ["lm_head"]},
        without("lm_head"),
        "ART-220",
        "modules_to_save names lm_head",
    ),
    "embedding saved": (
        "llama",
        {"modules_to_save": ["embed_tokens"]},
        without("embed_tokens"),
        "ART-220",
        "modules_to_save names embed_tokens",
    ),
    "embedding adapted": (
        "llama",
        {"target_modules": [*LINEARS, "embed_tokens"]},
        without("lora_embedding_A"),
        "ART-216",
        "1 of 5 lora_A are missing",
    ),
    "tied embedding adapted": (
        "gpt2",
        {"target_modules": ["c_attn", "wte"]},
        without("wte.lora"),
        "ART-218",
        "the file has 1 of the 2 module types",
    ),
    "tokens": (
        "llama",
        {"trainable_token_indices": [3, 90, 95]},
        without("trainable_tokens_delta"),
        "ART-218",
        "embed_tokens",
    ),
    "tokens of a tied embedding": (
        "gpt2",
        {"target_modules": ["c_attn"], "trainable_token_indices": {"wte": [3, 90]}},
        config(trainable_token_indices={"wte": [3, 90, 91]}),
        "ART-215",
        "shapes of another base",
    ),
    "experts": (
        "mixtral",
        {"target_parameters": ["experts.gate_up_proj", "experts.down_proj"], "rank_pattern": {"experts.down_proj": 2}},
        without("experts.lora_B"),
        "ART-216",
        "2 of 8 lora_B are missing",
    ),
    "router": ("mixtral", {"target_parameters": ["gate.weight"]}, config(target_parameters=None), "ART-218", "gate"),
    "layers": (
        "llama",
        {"layers_to_transform": [1]},
        config(layers_to_transform=[0]),
        "ART-217",
        "every key of layer 0",
    ),
    "pattern of names": (
        "llama",
        {"target_modules": r".*\.(q|v)_proj"},
        config(target_modules=r".*\.q_proj"),
        "ART-218",
        "1 of the 2 module types",
    ),
}
"""Feature -> family, options of LoraConfig, an edit that spoils it, the check that sees the edit, and its words."""


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_is_sound_and_its_edited_twin_is_not(
    feature: str, bases: Bases, tmp_path: Path, assert_sound: Sound, assert_broken: Broken
) -> None:
    family, options, spoil, check, words = FEATURES[feature]
    base = bases(family)
    folder = families.train(base, tmp_path / "adapter", **{"target_modules": LINEARS, **options})
    assert_sound(folder, base)
    verdict = grade_adapter(spoil(folder), "twin", base=str(base), prompt=None)
    assert verdict.status is Status.BROKEN
    seen = {each.check.id: each.observed for each in verdict.results if each.outcome is Outcome.FAIL}
    assert words in seen[check]
    assert {suspect.stage for suspect in verdict.suspects} == {"artifact"}


@pytest.mark.parametrize("feature", ["rslora", "rank_pattern", "Conv1D", "bias all", "experts", "tokens"])
def test_a_model_that_computes_with_other_weights_is_seen_at_load(
    feature: str, bases: Bases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assert_broken: Broken
) -> None:
    family, options, *_ = FEATURES[feature]
    base = bases(family)
    folder = families.train(base, tmp_path / "adapter", **{"target_modules": LINEARS, **options})

    def attach(model: Any, tensors: families.Tensors, config: Any) -> Any:
        peft_model = loading.attach(model, tensors, config)
        for module in peft_model.modules():
            if isinstance(module, LoraLayer):
                module.scaling["default"] *= 1.5
        return peft_model

    monkeypatch.setattr(recorder, "attach", attach)
    verdict = assert_broken(folder, base, "LOD-202", "from those of file and configuration")
    assert "first in" in verdict.suspects[0].example


@pytest.mark.parametrize("options", [{"modules_to_save": ["lm_head", "norm"]}, {"bias": "all"}])
def test_whole_weights_that_the_configuration_does_not_name_are_loaded_and_sound(
    options: dict[str, Any], bases: Bases, tmp_path: Path, assert_sound: Sound
) -> None:
    base = bases("opt" if "bias" in options else "llama")
    folder = families.train(base, tmp_path / "adapter", target_modules=LINEARS, **options)
    families.edit_config(folder, modules_to_save=None, bias="none")
    verdict = assert_sound(folder, base)
    [advice] = [each for each in verdict.results if each.check.id == "ART-220"]
    assert "whole weights of the base" in advice.observed


def test_an_adapter_that_changes_the_rows_of_a_few_tokens_alone_is_sound(
    llama: Path, tmp_path: Path, assert_sound: Sound
) -> None:
    assert_sound(families.train(llama, tmp_path / "adapter", tokens=[91, 92], target_modules=["embed_tokens"]), llama)


def test_magnitudes_under_the_name_of_their_layer_are_taken_as_peft_takes_them(
    llama: Path, tmp_path: Path, assert_sound: Sound
) -> None:
    folder = families.train(llama, tmp_path / "adapter", target_modules=LINEARS, use_dora=True)
    families.rename(folder, lambda name: name.replace("magnitude_vector", "magnitude_vector.weight"))
    assert_sound(folder, llama)


def test_an_adapter_that_is_scaled_to_nothing_is_broken_at_its_artifact(
    adapter: Path, llama: Path, assert_broken: Broken
) -> None:
    families.edit_config(adapter, lora_alpha=0)
    assert_broken(adapter, llama, "ART-236", "the scaling is 0 in 14 of 14 pairs")


def test_an_adapter_whose_products_are_zero_is_broken_at_its_artifact(
    adapter: Path, llama: Path, assert_broken: Broken
) -> None:
    families.edit_tensors(adapter, lambda tensors: {n: t * ("lora_A" not in n) for n, t in tensors.items()})
    assert_broken(adapter, llama, "ART-236", "their product is 0")


def test_a_few_pairs_that_add_nothing_are_advice(adapter: Path, llama: Path, assert_sound: Sound) -> None:
    families.edit_config(adapter, alpha_pattern={"q_proj": 0})
    [advice] = [each for each in assert_sound(adapter, llama).results if each.check.id == "ART-236"]
    assert "2 of 14 pairs add nothing, model.layers.0.self_attn.q_proj first: the scaling is 0" in advice.observed


def test_an_adapter_whose_addition_float32_drowns_is_broken_at_load(
    adapter: Path, llama: Path, assert_broken: Broken
) -> None:
    families.edit_config(adapter, lora_alpha=1e-9)
    assert_broken(adapter, llama, "LOD-203", "the adapter changes logits by")


def test_bf16_and_fp16_are_sound_and_8_bits_are_drift(adapter: Path, llama: Path, assert_sound: Sound) -> None:
    for dtype in (torch.bfloat16, torch.float16):
        families.edit_tensors(adapter, lambda tensors, dtype=dtype: {n: t.to(dtype) for n, t in tensors.items()})  # type: ignore[misc]
        assert_sound(adapter, llama)
    families.edit_tensors(adapter, lambda tensors: {n: t.to(torch.float8_e4m3fn) for n, t in tensors.items()})
    verdict = grade_adapter(adapter, "adapter", base=str(llama), prompt=None)
    assert verdict.status is Status.DRIFT
    assert "28 of 28 tensors have the dtype F8_E4M3" in verdict.cause


def test_a_base_in_bf16_is_loaded_in_fp32_and_stays_sound(tmp_path: Path, assert_sound: Sound) -> None:
    base = families.build_base("llama", tmp_path / "base", dtype=torch.bfloat16)
    assert_sound(families.train(base, tmp_path / "adapter", target_modules=LINEARS), base)


def test_numbers_that_overflow_in_the_base_s_own_dtype_are_broken_at_load(
    tmp_path: Path, assert_sound: Sound, assert_broken: Broken
) -> None:
    for dtype in (torch.bfloat16, torch.float16):
        base = families.build_base("llama", tmp_path / str(dtype), dtype=dtype)
        folder = families.train(base, tmp_path / "adapter", target_modules=["down_proj"])
        families.edit_tensors(
            folder, lambda tensors: {n: t * (3e6 if "lora_B" in n else 1) for n, t in tensors.items()}
        )
        if dtype is torch.bfloat16:
            verdict = assert_sound(folder, base)
            [advice] = [each for each in verdict.results if each.check.id == "LOD-108"]
            assert "if the model is loaded in float16" in advice.observed
        else:
            assert_broken(folder, base, "LOD-108", "logits are NaN or infinite in float16")


def test_a_grown_vocabulary_is_resized_where_its_rows_are_saved_and_broken_where_not(
    llama: Path, tmp_path: Path, assert_sound: Sound, assert_broken: Broken
) -> None:
    grow = lambda model: model.resize_token_embeddings(100, mean_resizing=False)  # noqa: E731
    folder = families.train(llama, tmp_path / "adapter", target_modules=LINEARS, prepare=grow)
    write_tokenizer(folder, 100)
    verdict = assert_sound(folder, llama)
    assert any("resized from 96 to 100" in note for note in verdict.notes)
    families.drop(folder, "lm_head")
    families.drop(folder, "embed_tokens")
    assert_broken(folder, llama, "ART-235", "4 tokens more than the embedding has rows (96)")


def write_tokenizer(folder: Path, tokens: int) -> None:
    """A tokenizer of so many words, with a chat template."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    plain = Tokenizer(models.WordLevel({f"t{number}": number for number in range(tokens)}))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=plain,
        **{f"{name}_token": f"t{at}" for at, name in enumerate(("pad", "bos", "eos"))},
        chat_template=f"{tokens} words",
    ).save_pretrained(folder)


def test_the_adapters_own_tokenizer_comes_before_the_base_s(
    adapter: Path, llama: Path, tmp_path: Path, assert_sound: Sound, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = Path(shutil.copytree(llama, tmp_path / "base"))
    write_tokenizer(base, 90)
    seen: list[tuple[int, str | None]] = []

    def examine(_model: Any, *, tokenizer: Any, chat_template: str | None, **_options: Any) -> AnswersEvidence:
        seen.append((len(tokenizer), chat_template))
        return AnswersEvidence("nothing was asked")

    monkeypatch.setattr(recorder, "examine", examine)
    record = functools.partial(recorder.record, adapter, base=str(base), prompt="{question}{answer}")
    record()
    (adapter / "chat_template.jinja").write_text("beside")
    record()
    write_tokenizer(adapter, 96)
    record()
    (adapter / "chat_template.jinja").unlink()
    record()
    assert seen == [(90, "90 words"), (90, "beside"), (96, "96 words"), (96, "90 words")]
    assert any("its own tokenizer" in note for note in assert_sound(adapter, base).notes)


def test_a_tokenizer_that_cannot_be_read_is_a_note(adapter: Path, llama: Path, assert_sound: Sound) -> None:
    (adapter / "tokenizer.json").write_text("{")
    assert any("cannot be loaded" in note for note in assert_sound(adapter, llama).notes)


def test_the_tied_toy_is_a_base_like_others(tmp_path: Path, assert_sound: Sound) -> None:
    assert_sound(families.train(TOY, tmp_path / "adapter", target_modules="all-linear", use_dora=True), TOY)
