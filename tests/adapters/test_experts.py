"""Adapters over mixtures of experts: experts in one parameter, and pairs for each over a base that stacks them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import large_shapes as large
import pytest

from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.grading.folder import grade_adapter
from sft_ref.harness.recorders.folder.recorder import record

MIXTRAL = {**large.MIXTRAL_8X7B, "num_hidden_layers": 4}
QWEN = {**large.QWEN3_30B_A3B, "num_hidden_layers": 2}

SINGLE = {
    "mixtral": (MIXTRAL, ("w1", "w3", "w2"), "block_sparse_moe"),
    "qwen": (QWEN, ("gate_proj", "up_proj", "down_proj"), "mlp"),
}
"""Base, names of projections, and the block that holds the experts, in versions of transformers before 5."""


def write(folder: Path, name: str, change: Callable[[str], str] = str) -> tuple[Path, Path]:
    """A base, and an adapter with a pair for each expert under changed names; an empty name leaves a tensor out."""
    config, names, block = SINGLE[name]
    shapes = {change(key): shape for key, shape in large.pairs(large.experts(config, names, block), 2).items()}
    shapes.pop("", None)
    adapter = large.write_adapter(folder / "adapter", shapes, r=2, lora_alpha=4, target_modules=list(names))
    return adapter, large.write_base(folder / "base", config)


def failed(verdict: Verdict) -> dict[str, str]:
    """The checks that fail, with what they observed."""
    return {each.check.id: each.observed for each in verdict.results if each.outcome is Outcome.FAIL}


@pytest.mark.parametrize("config", [MIXTRAL, QWEN], ids=["mixtral", "qwen"])
def test_stacked_experts_are_examined_without_their_base(config: large.Config, tmp_path: Path) -> None:
    targets = ["experts.gate_up_proj", "experts.down_proj"]
    shapes = large.stacked_experts(config, 2)
    adapter = large.write_adapter(tmp_path / "adapter", shapes, r=2, target_modules=[], target_parameters=targets)
    base = large.write_base(tmp_path / "base", config)
    verdict = grade_adapter(adapter, "a", base=str(base), prompt=None)
    assert not failed(verdict), verdict.cause
    assert verdict.examined_stages == ("artifact",)
    pairs = record(adapter, base=str(base)).pairs
    assert pairs is not None
    assert [each.rank for each in pairs] == [2] * (2 * config["num_hidden_layers"])


@pytest.mark.parametrize("name", SINGLE)
def test_pairs_of_single_experts_are_examined_without_their_base(name: str, tmp_path: Path) -> None:
    adapter, base = write(tmp_path, name)
    verdict = grade_adapter(adapter, "a", base=str(base), prompt=None)
    assert not failed(verdict), verdict.cause
    assert verdict.examined_stages == ("artifact",)
    pairs = record(adapter, base=str(base)).pairs
    assert pairs is not None
    config, names, _ = SINGLE[name]
    assert len(pairs) == len(names) * config["num_hidden_layers"] * large.count_experts(config)
    assert {(each.rank, each.scaling) for each in pairs} == {(2, 2.0)}


@pytest.mark.parametrize(
    ("change", "check", "words"),
    [
        (lambda name: f"module.{name}", "ART-213", "192 of 192 keys carry the prefix `module.`"),
        (lambda name: "" if ".layers.2." in name else name, "ART-217", "every key of layer 2 is missing (48 of 192)"),
        (lambda name: "" if ".1.block_sparse_moe.experts.3.w1.lora_A" in name else name, "ART-216", "1 of 96 lora_A"),
        (lambda name: "" if ".experts.7." in name else name, "ART-221", "24 of 192 tensors are missing"),
        (lambda name: name.replace(".layers.3.", ".layers.4."), "ART-215", "tensors of 5 layers, but the base has 4"),
    ],
)
def test_faults_of_single_experts_are_named(
    change: Callable[[str], str], check: str, words: str, tmp_path: Path
) -> None:
    adapter, base = write(tmp_path, "mixtral", change)
    seen = failed(grade_adapter(adapter, "a", base=str(base), prompt=None))
    assert check in seen
    assert words in seen[check]
