"""A difference between file and configuration is named by its pattern, with counts, and nothing else is accused."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import families
import pytest
import torch
from peft import PeftModel

import sft_ref
from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.verdict import Status, Verdict
from sft_ref.harness.grading.folder import grade_adapter
from sft_ref.reference.bases.find import TOY
from sft_ref.reference.settings import Settings

Broken = Callable[..., Verdict]
Edit = Callable[[Path], object]

PREFIX = "base_model.model."


def renamed(old: str, new: str) -> Edit:
    return lambda folder: families.rename(folder, lambda name: name.replace(old, new, 1))


def cut(folder: Path) -> None:
    path = folder / families.WEIGHTS
    path.write_bytes(path.read_bytes()[:-1000])


def filled(part: str, value: float) -> Edit:
    def fill(tensors: families.Tensors) -> families.Tensors:
        return {name: torch.full_like(tensor, value) if part in name else tensor for name, tensor in tensors.items()}

    return lambda folder: families.edit_tensors(folder, fill)


def emptied(folder: Path) -> None:
    families.edit_tensors(folder, lambda tensors: {name: torch.empty(0) for name in tensors})


def sharded(number: int, *, index: bool, lost: int | None = None) -> Edit:
    def shard(folder: Path) -> None:
        families.shard(folder, number, index=index)
        if lost is not None:
            (folder / f"adapter_model-{lost:05d}-of-{number:05d}.safetensors").unlink()

    return shard


def configured(**changes: object) -> Edit:
    return lambda folder: families.edit_config(folder, **changes)


def cast(dtype: torch.dtype) -> Edit:
    return lambda folder: families.edit_tensors(folder, lambda found: {n: t.to(dtype) for n, t in found.items()})


PATTERNS: dict[str, tuple[Edit, str, str]] = {
    "torch.compile": (
        renamed(PREFIX, f"{PREFIX}_orig_mod."),
        "ART-213",
        "28 of 28 keys carry the prefix `_orig_mod.` of torch.compile: save `model._orig_mod`",
    ),
    "compiled layers": (
        renamed(".layers.1.", ".layers.1._orig_mod."),
        "ART-213",
        "14 of 28 keys carry the prefix `_orig_mod.`",
    ),
    "DDP": (renamed(PREFIX, f"module.{PREFIX}"), "ART-213", "28 of 28 keys carry the prefix `module.`"),
    "FSDP": (renamed(".layers.", "._fsdp_wrapped_module.layers."), "ART-213", "`_fsdp_wrapped_module.` of FSDP"),
    "Lightning": (renamed(PREFIX, f"_forward_module.{PREFIX}"), "ART-213", "`_forward_module.` of Lightning"),
    "a wrapper of one's own": (
        renamed(PREFIX, f"{PREFIX}my.policy."),
        "ART-213",
        "28 of 28 keys carry `my.policy.` in their names",
    ),
    "an adapter's name": (
        renamed(".weight", ".sft.weight"),
        "ART-213",
        "28 of 28 keys carry the adapter name `sft.`",
    ),
    "twice wrapped": (renamed(PREFIX, PREFIX * 2), "ART-213", "the prefix `base_model.model.` twice"),
    "no prefix": (renamed(PREFIX, ""), "ART-213", "28 of 28 keys lack the prefix `base_model.model.`"),
    "partial gather": (
        lambda folder: families.drop(folder, ".layers.1."),
        "ART-217",
        "every key of layer 1 is missing (14 of 28), as after a partial gather",
    ),
    "narrow targets": (
        configured(target_modules=["q_proj", "k_proj", "v_proj", "o_proj"]),
        "ART-218",
        "target_modules lists 4 of the 7 module types that the file has",
    ),
    "wide targets": (
        lambda folder: families.drop(folder, "mlp."),
        "ART-218",
        "the file has 4 of the 7 module types that target_modules lists",
    ),
    "ZeRO-3": (emptied, "ART-212", "28 of 28 tensors have shape [0], as those of a ZeRO-3 or FSDP partition"),
    "no B": (lambda folder: families.drop(folder, "lora_B"), "ART-216", "14 of 14 lora_B are missing"),
    "one A": (
        lambda folder: families.drop(folder, "layers.0.self_attn.q_proj.lora_A"),
        "ART-216",
        "1 of 14 lora_A are missing",
    ),
    "rank": (
        configured(r=16),
        "ART-219",
        "28 of 28 tensors have a different rank from that of the configuration (4, not 16)",
    ),
    "an absurd rank": (configured(r=10**7), "ART-219", "(4, not 10000000)"),
    "one tensor": (
        lambda folder: families.drop(families.drop(folder, "0.self_attn.q_proj.lora_A"), "0.self_attn.q_proj.lora_B"),
        "ART-221",
        "2 of 28 tensors are missing",
    ),
    "a shard lost": (
        sharded(3, index=True, lost=2),
        "ART-205",
        "the folder has 2 of the 3 shards that the index lists",
    ),
    "a shard lost, no index": (
        sharded(3, index=False, lost=3),
        "ART-205",
        "the folder has 2 of the 3 shards that their names announce",
    ),
    "no index": (sharded(2, index=False), "ART-205", "the tensors are in 2 shards without an index"),
    "cut short": (cut, "ART-204", "is cut short"),
    "NaN": (
        filled("layers.0.mlp.up_proj.lora_A", float("nan")),
        "ART-002",
        "1 of 28 tensors have NaN or infinity, stored as F32",
    ),
    "blank": (filled("lora_B", 0.0), "ART-003", "14 of 14 lora_B are zero"),
    "whole numbers": (cast(torch.int8), "ART-231", "28 of 28 tensors have the dtype I8"),
    "no tensors": (lambda folder: (folder / families.WEIGHTS).unlink(), "ART-202", "no adapter_model.safetensors"),
    "a configuration cut short": (
        lambda folder: (folder / families.CONFIG).write_text('{"r": 8,'),
        "ART-201",
        "adapter_config.json: it is not JSON",
    ),
    "a value that is none": (configured(r="eight"), "ART-201", "r is 'eight': expected `int | null`, got `str`"),
    "modules of nobody": (
        configured(target_modules=["query"]),
        "ART-211",
        "the adapter cannot be applied to the base: Target modules {'query'} not found",
    ),
}
"""Pattern -> how it comes about, the check that names it, and its words."""


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_is_named_and_what_follows_from_it_is_blocked(
    pattern: str, adapter: Path, llama: Path, assert_broken: Broken
) -> None:
    edit, check, words = PATTERNS[pattern]
    edit(adapter)
    verdict = assert_broken(adapter, llama, check, words)
    assert {each.outcome for each in verdict.results if each.check.stage == "load"} == {Outcome.BLOCKED}
    assert verdict.stages == verdict.examined_stages == ("artifact",)


@pytest.mark.parametrize("changes", [{"hidden_size": 40, "head_dim": 10}, {"intermediate_size": 64}])
def test_only_shapes_of_another_base_ask_for_the_base(
    changes: dict[str, Any], adapter: Path, tmp_path: Path, assert_broken: Broken
) -> None:
    other = families.build_base("llama", tmp_path / "other", **changes)
    verdict = assert_broken(adapter, other, "ART-215", "shapes of another base")
    assert verdict.remedy == "Pass the base it was trained on (--base)."


def test_layers_that_the_base_does_not_have_are_of_another_base(
    adapter: Path, tmp_path: Path, assert_broken: Broken
) -> None:
    shallow = families.build_base("llama", tmp_path / "other", num_hidden_layers=1)
    assert_broken(adapter, shallow, "ART-215", "the file has tensors of 2 layers, but the base has 1")


def test_no_remedy_but_that_of_shapes_asks_for_another_base() -> None:
    from sft_ref.harness.checks.adapter import CHECKS

    assert [each.id for each in CHECKS if "trained on" in each.remedy and each.stage == "artifact"] == ["ART-215"]


def test_two_faults_in_one_file_are_two_causes(adapter: Path, llama: Path) -> None:
    families.rename(adapter, lambda name: name.replace(PREFIX, f"{PREFIX}_orig_mod."))
    families.drop(adapter, ".layers.0.")
    verdict = grade_adapter(adapter, "adapter", base=str(llama), prompt=None)
    failed = [each.check.id for each in verdict.results if each.outcome is Outcome.FAIL]
    assert failed == ["ART-213", "ART-217"]


def test_shards_with_an_index_are_examined_and_drift(adapter: Path, llama: Path) -> None:
    families.shard(adapter, 3, index=True)
    verdict = grade_adapter(adapter, "adapter", base=str(llama), prompt=None)
    assert verdict.status is Status.DRIFT
    assert verdict.examined_stages == ("artifact", "load")
    assert [suspect.stage for suspect in verdict.suspects] == ["artifact"]
    assert "The tensors are in 3 shards, which peft does not read" in verdict.cause


def test_the_adapters_name_in_the_names_is_drift_where_this_peft_takes_it(adapter: Path, llama: Path) -> None:
    families.rename(adapter, lambda name: name.replace(".weight", ".default.weight"))
    verdict = grade_adapter(adapter, "adapter", base=str(llama), prompt=None)
    words = "28 of 28 keys carry the adapter name `default.`"
    if is_loaded_by_peft(adapter, llama):
        assert (verdict.status, verdict.examined_stages) == (Status.DRIFT, ("artifact", "load"))
        assert "(ART-222)" in verdict.cause
    else:
        assert verdict.status is Status.BROKEN
        assert "(ART-213)" in verdict.cause
    assert words in verdict.cause


def is_loaded_by_peft(folder: Path, base: Path) -> bool:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        PeftModel.from_pretrained(families.load_base(base), str(folder))
    return not any("missing adapter keys" in str(each.message) for each in caught)


def test_a_pickle_is_drift_and_never_opened(adapter: Path, llama: Path, tmp_path: Path) -> None:
    (adapter / families.WEIGHTS).unlink()
    opened = tmp_path / "opened"
    payload = f"c__builtin__\neval\n(V__import__('pathlib').Path({str(opened)!r}).touch()\ntR."
    (adapter / "adapter_model.bin").write_text(payload)
    verdict = grade_adapter(adapter, "adapter", base=str(llama), prompt=None)
    assert verdict.status is Status.DRIFT
    assert verdict.examined_stages == ()
    assert "adapter_model.bin is a pickle, which is not opened" in verdict.coverage_text
    assert not opened.exists()


def test_an_adapter_that_was_changed_since_its_record_is_broken(tmp_path: Path, assert_broken: Broken) -> None:
    folder = tmp_path / "adapter"
    sft_ref.train(folder, base="toy", settings=Settings(steps=2))
    alpha = json.loads((folder / families.CONFIG).read_text())["lora_alpha"]
    families.edit_config(folder, lora_alpha=2 * alpha)
    assert_broken(folder, TOY, "ART-209", f"alpha was {alpha} in training, but is {2 * alpha} in the configuration")
    families.edit_config(folder, lora_alpha=alpha)
    families.edit_tensors(folder, lambda tensors: {name: 2 * tensor for name, tensor in tensors.items()})
    assert_broken(folder, TOY, "ART-209", "the tensors differ from the trained ones")
