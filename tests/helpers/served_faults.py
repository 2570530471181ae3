"""Faults between training and serving: each is planted in a copy of a sound adapter, or in a model."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import witnessed
from families import edit_config, edit_tensors, rename
from peft import PeftModel
from transformers import AutoTokenizer

from sft_ref.reference.bases.find import TOY

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class FolderFault:
    """A fault in the files of the adapter folder, or in its base.

    Attributes:
        kinds: exactly the kinds of difference that must be reported.
        plant: changes a copy of the folder; returns another base, or None.
        training: name of the fixture that trains.
    """

    kinds: set[str]
    plant: Callable[[Path], str | Path | None]
    training: str = "trained"


@dataclass(frozen=True)
class ModelFault:
    """A fault in loading a model.

    Attributes:
        kinds: exactly the kinds of difference that must be reported.
        load: folder -> a model, or a model and its tokenizer.
        training: name of the fixture that trains.
    """

    kinds: set[str]
    load: Callable[[Path], Any]
    training: str = "trained"


def served(folder: Path, base: Any = None, **options: Any) -> Any:
    """Loads the adapter on the toy with peft."""
    return PeftModel.from_pretrained(base or witnessed.load_toy(), str(folder), **options).eval()


def tokenizer_of(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


def edited(**changes: Any) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        edit_config(folder, **changes)

    return plant


def tensors(change: Callable[[Tensors], Tensors]) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        edit_tensors(folder, change)

    return plant


def swapped(own: Tensors) -> Tensors:
    one, other = [name for name in own if "lora_B" in name and "q_proj" in name][:2]
    return {**own, one: own[other], other: own[one]}


def zeroed(own: Tensors) -> Tensors:
    return {name: torch.zeros_like(each) if "lora_B" in name else each for name, each in own.items()}


def halves(own: Tensors) -> Tensors:
    """Halves all tensors, like the shard of one of two processes."""
    return {name: each[: len(each) // 2] for name, each in own.items()}


def cast(own: Tensors) -> Tensors:
    return {name: each.half() for name, each in own.items()}


def without_layer(own: Tensors) -> Tensors:
    return {name: each for name, each in own.items() if "layers.1." not in name}


def one_weight_moved(own: Tensors) -> Tensors:
    first = next(name for name in own if "lora_A" in name)
    return {**own, first: own[first] * 1.5}


def renamed(folder: Path) -> None:
    rename(folder, lambda name: name.replace("base_model.model.", "base_model.model.model.", 1))


def truncated(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def reordered(folder: Path) -> None:
    """Swaps two tokens of the vocabulary."""
    path = folder / "tokenizer.json"
    table = json.loads(path.read_text())
    vocabulary = table["model"]["vocab"]
    one, other = list(vocabulary)[400:402]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    path.write_text(json.dumps(table))


def with_tokenizer(change: Callable[[Any], object]) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        own = tokenizer_of(folder)
        change(own)
        own.save_pretrained(folder)

    return plant


def without_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def other_template(folder: Path) -> None:
    path = folder / "chat_template.jinja"
    path.write_text(path.read_text().replace("<assistant>", "<|assistant|>"))


def saved_base(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], Path]:
    """Returns a function that saves the toy with changed matrices next to the adapter."""

    def plant(folder: Path) -> Path:
        base, there = witnessed.load_toy(), folder.parent / "base"
        round_weights(base, change)
        base.save_pretrained(there)
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            shutil.copy(TOY / name, there)
        return there

    return plant


def round_weights(model: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    with torch.no_grad():
        for name, each in model.named_parameters():
            if each.ndim > 1 and "lora_" not in name:
                each.copy_(change(each))
    return model


def to_int8(weight: torch.Tensor) -> torch.Tensor:
    step = weight.abs().amax(dim=1, keepdim=True) / 127
    return (weight / step).round() * step


def anew(weight: torch.Tensor) -> torch.Tensor:
    return torch.randn(weight.shape, generator=torch.Generator().manual_seed(7)) * weight.std()


def disabled(folder: Path) -> Any:
    model = served(folder)
    model.disable_adapter_layers()
    return model


def merged_twice(folder: Path) -> Any:
    once = served(folder).merge_and_unload()
    return served(folder, once).merge_and_unload()


def merged_in_bf16(folder: Path) -> Any:
    return served(folder, witnessed.load_toy(torch.bfloat16)).merge_and_unload()


def on_merged(folder: Path) -> Any:
    return served(folder, served(folder).merge_and_unload())


def two_adapters(active: str) -> Callable[[Path], Any]:
    def load(folder: Path) -> Any:
        model = served(folder, adapter_name="mine")
        model.load_adapter(str(folder), "other")
        with torch.no_grad():
            for name, each in model.named_parameters():
                if "lora_B.other" in name:
                    each.neg_()
        if active == "both":
            model.base_model.set_adapter(["mine", "other"])
        else:
            model.set_adapter(active)
        return model.eval()

    return load


def rounded_rotary(folder: Path) -> Any:
    model = served(folder)
    rotary = model.get_base_model().model.rotary_emb
    rotary.inv_freq = rotary.inv_freq.bfloat16().float()
    return model


def scaled(folder: Path) -> Any:
    model = served(folder)
    for module in model.modules():
        if hasattr(module, "set_scale"):
            module.set_scale("default", 0.5)
    return model


def training_mode(folder: Path) -> Any:
    return served(folder, is_trainable=True).train()


def late_positions(folder: Path) -> Any:
    """Loads a model whose positions start at 7 and advance only at every second token."""
    model = served(folder)
    inner = model.get_base_model().model
    forward = inner.forward

    def later(input_ids: Any = None, **kwargs: Any) -> Any:
        kwargs["position_ids"] = 7 + torch.arange(input_ids.shape[1])[None] // 2
        return forward(input_ids=input_ids, **kwargs)

    inner.forward = later
    return model


def other_epsilon(folder: Path) -> Any:
    model = served(folder)
    for module in model.modules():
        if hasattr(module, "variance_epsilon"):
            module.variance_epsilon = 0.5
    return model


def one_layer_anew(folder: Path) -> Any:
    model = served(folder)
    with torch.no_grad():
        weight = model.get_base_model().model.layers[1].mlp.up_proj.base_layer.weight
        weight.copy_(anew(weight))
    return model


def adapter_in_bf16(folder: Path) -> Any:
    model = served(folder)
    for name, each in model.named_parameters():
        if "lora_" in name:
            each.data = each.data.bfloat16().float()
    return model


def other_config(folder: Path) -> Any:
    base = witnessed.load_toy()
    base.config.rms_norm_eps = 1e-3
    return served(folder, base)


def quantised(folder: Path) -> Any:
    """Merges the adapter, and computes with 8-bit weights."""
    with witnessed.no_warnings():
        return torch.ao.quantization.quantize_dynamic(served(folder).merge_and_unload(), {torch.nn.Linear}, torch.qint8)


def half_merged(folder: Path) -> Any:
    """Merges the adapter, and restores the base's weights in one layer."""
    model, base = served(folder).merge_and_unload(), witnessed.load_toy()
    model.model.layers[0].load_state_dict(base.model.layers[0].state_dict())
    return model


FAULTS: dict[str, FolderFault | ModelFault] = {
    "alpha edited": FolderFault({"artifact", "load"}, edited(lora_alpha=16)),
    "rank-stabilised scaling lost": FolderFault({"artifact", "load"}, edited(use_rslora=False), "trained_dora"),
    "rank-stabilised scaling gained": FolderFault({"artifact", "load"}, edited(use_rslora=True)),
    "DoRA lost": FolderFault({"artifact", "load"}, edited(use_dora=False), "trained_dora"),
    "scaling of some modules edited": FolderFault({"artifact", "load"}, edited(alpha_pattern={"q_proj": 32})),
    "a target module lost": FolderFault(
        {"artifact", "load"}, edited(target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "gate_proj"])
    ),
    "tensors swapped": FolderFault({"artifact", "load"}, tensors(swapped)),
    "tensors zeroed": FolderFault({"artifact", "load"}, tensors(zeroed)),
    "no tensor saved": FolderFault({"artifact"}, tensors(lambda own: {})),
    "half of each tensor saved": FolderFault({"artifact"}, tensors(halves)),
    "tensors cast to fp16": FolderFault({"precision"}, tensors(cast)),
    "a tensor scaled": FolderFault({"artifact", "load"}, tensors(one_weight_moved)),
    "tensors renamed": FolderFault({"artifact", "load"}, renamed),
    "a layer missing": FolderFault({"artifact", "load"}, tensors(without_layer)),
    "file truncated": FolderFault({"artifact"}, truncated),
    "tokens in another order": FolderFault({"tokenizer"}, reordered),
    "a token added": FolderFault({"tokenizer"}, with_tokenizer(lambda own: own.add_tokens(["<new>"]))),
    "padding is the end": FolderFault({"tokenizer"}, with_tokenizer(lambda own: setattr(own, "pad_token_id", 2))),
    "another end": FolderFault({"tokenizer"}, with_tokenizer(lambda own: setattr(own, "eos_token_id", 1))),
    "template changed": FolderFault({"template"}, other_template),
    "template missing": FolderFault({"template"}, without_template),
    "base trained anew": FolderFault({"base"}, saved_base(anew)),
    "base rounded to int8": FolderFault({"precision"}, saved_base(to_int8)),
    "adapter switched off": ModelFault({"load"}, disabled),
    "adapter not merged": ModelFault({"load"}, lambda folder: witnessed.load_toy()),
    "merged twice": ModelFault({"load"}, merged_twice),
    "merged, and on top once more": ModelFault({"load"}, on_merged),
    "half merged": ModelFault({"load"}, half_merged),
    "merged in bf16": ModelFault({"precision"}, merged_in_bf16),
    "bf16 training merged in bf16": ModelFault({"precision"}, merged_in_bf16, "trained_bf16"),
    "the wrong one of two adapters": ModelFault({"load"}, two_adapters("other")),
    "two adapters at once": ModelFault({"load"}, two_adapters("both")),
    "adapter scaled in memory": ModelFault({"load"}, scaled),
    "adapter rounded to bf16": ModelFault({"precision"}, adapter_in_bf16),
    "computed in int8": ModelFault({"precision"}, quantised),
    "rotary frequencies rounded": ModelFault({"precision"}, rounded_rotary),
    "base loaded in fp16": ModelFault({"precision"}, lambda folder: served(folder, witnessed.load_toy(torch.float16))),
    "base loaded in bf16": ModelFault({"precision"}, lambda folder: served(folder, witnessed.load_toy(torch.bfloat16))),
    "model cast to bf16": ModelFault({"precision"}, lambda folder: served(folder).bfloat16(), "trained_mixed"),
    "a layer of the base anew": ModelFault({"base"}, one_layer_anew),
    "training mode": ModelFault({"load"}, training_mode),
    "positions of another kind": ModelFault({"load"}, late_positions),
    "another epsilon in force": ModelFault({"load"}, other_epsilon),
    "another configuration of the base": ModelFault({"base"}, other_config),
}
"""Name -> fault."""


def merged_in_fp32(folder: Path) -> Any:
    return served(folder).merge_and_unload()


def copied(folder: Path) -> Any:
    return copy.deepcopy(served(folder))


def reloaded(folder: Path) -> Any:
    """Merges the adapter, saves the model and loads it again."""
    there = folder.parent / "merged"
    merged_in_fp32(folder).save_pretrained(there)
    return type(witnessed.load_toy()).from_pretrained(there)


def with_attention(backend: str) -> Callable[[Path], Any]:
    def load(folder: Path) -> Any:
        model = served(folder)
        model.get_base_model().set_attn_implementation(backend)
        return model

    return load


SOUND: dict[str, ModelFault] = {
    "as peft loads it": ModelFault(set(), served),
    "merged in fp32": ModelFault(set(), merged_in_fp32),
    "merged, saved and loaded": ModelFault(set(), reloaded),
    "a copy": ModelFault(set(), copied),
    "eager attention": ModelFault(set(), with_attention("eager")),
    "sdpa attention": ModelFault(set(), with_attention("sdpa")),
    "the right one of two adapters": ModelFault(set(), two_adapters("mine")),
    "DoRA": ModelFault(set(), served, "trained_dora"),
    "DoRA merged in fp32": ModelFault(set(), merged_in_fp32, "trained_dora"),
    "bf16 training in bf16": ModelFault(
        set(), lambda folder: served(folder, witnessed.load_toy(torch.bfloat16)), "trained_bf16"
    ),
    "bf16 training in fp32": ModelFault(set(), served, "trained_bf16"),
    "bf16 training merged in fp32": ModelFault(set(), merged_in_fp32, "trained_bf16"),
    "mixed training in fp32": ModelFault(set(), served, "trained_mixed"),
    "mixed training merged in fp32": ModelFault(set(), merged_in_fp32, "trained_mixed"),
}
"""Name -> a sound way to load."""
