"""Adapters over large bases are examined by headers and one tensor at a time: memory does not grow with their size."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import families
import large_shapes as large
import pytest

from sft_ref.errors import BaseModelError
from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.verdict import Status, Verdict
from sft_ref.harness.evidence import storage
from sft_ref.harness.evidence.adapter import AdapterEvidence
from sft_ref.harness.grading.folder import grade_adapter
from sft_ref.harness.recorders.folder import recorder
from sft_ref.harness.recorders.folder.recorder import record

MEGABYTE = 2**20
SECONDS = 100
"""Of processor time that one large adapter may take: ten times what it takes on a slow machine."""

PROGRAM = """
import json, resource, sys
from pathlib import Path
from sft_ref.harness.grading.folder import grade_adapter

folder, base, file = map(Path, sys.argv[1:])
verdict = grade_adapter(folder, folder.name, base=str(base), prompt=None, save_evidence=file)
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"kilobytes": used.ru_maxrss, "seconds": used.ru_utime + used.ru_stime, "status": verdict.status,
    "cause": verdict.cause, "coverage": verdict.coverage_text, "notes": verdict.notes}))
"""


def grade_apart(folder: Path, base: Path) -> tuple[dict[str, Any], AdapterEvidence]:
    """What a process of its own finds out of an adapter, and the time and memory that it takes."""
    file = folder.with_name("evidence.safetensors")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder, base, file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), storage.load(file, AdapterEvidence)


@pytest.fixture
def base_70b(tmp_path: Path) -> Path:
    return large.write_base(tmp_path / "base", large.LLAMA_3_70B)


def adapter_70b(folder: Path, **config: object) -> Path:
    shapes = large.pairs(large.attention_and_mlp(large.LLAMA_3_70B), rank=16)  # type: ignore[arg-type]
    return large.write_adapter(
        folder, shapes, r=16, lora_alpha=32, target_modules=[*large.ATTENTION, *large.MLP], **config
    )


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_an_adapter_of_70b_takes_less_than_500_mb(base_70b: Path, tmp_path: Path) -> None:
    adapter = adapter_70b(tmp_path / "adapter")
    assert (adapter / "adapter_model.safetensors").stat().st_size > 400 * 10**6
    found, evidence = grade_apart(adapter, base_70b)
    assert found["status"] == Status.NOT_SHOWN, found["cause"]
    assert "Examined: artifact. Not examined: load (the folder of the base holds no weights)" in found["coverage"]
    assert found["kilobytes"] * 1024 < 500 * 10**6
    assert found["seconds"] < SECONDS
    assert evidence.pairs is not None
    assert len(evidence.pairs) == 560
    assert {(each.rank, each.scaling, each.dtype, each.is_dead) for each in evidence.pairs} == {
        (16, 2.0, "BF16", False)
    }
    assert any(note.startswith("560 pairs, rank 16, scaling 2, BF16, norm of the addition") for note in found["notes"])
    assert evidence.expected is not None
    assert evidence.expected.parameters == 70_553_706_496


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_whole_embeddings_beside_the_pairs_are_read_in_pieces(tmp_path: Path) -> None:
    base = large.write_base(tmp_path / "base", large.LLAMA_3_70B)
    shapes = large.pairs(large.attention_and_mlp(large.LLAMA_3_70B, range(2)), rank=16)  # type: ignore[arg-type]
    head = "base_model.model.lm_head.weight"
    adapter = large.write_adapter(
        tmp_path / "adapter",
        {**shapes, head: (128256, 8192)},
        r=16,
        modules_to_save=["lm_head"],
        layers_to_transform=[0, 1],
        target_modules=[*large.ATTENTION, *large.MLP],
    )
    found, evidence = grade_apart(adapter, base)
    assert found["status"] == Status.NOT_SHOWN, found["cause"]
    assert found["kilobytes"] * 1024 < 500 * 10**6  # the head alone has 2.1 GB
    assert evidence.values is not None
    assert evidence.values[head].largest > 0


@pytest.mark.parametrize(
    ("change", "check", "words"),
    [
        (
            lambda name: "" if ".layers.79." in name else name,
            "ART-217",
            "every key of layer 79 is missing (14 of 1120)",
        ),
        (lambda name: f"module.{name}", "ART-213", "1120 of 1120 keys carry the prefix `module.`"),
        (lambda name: "" if name.endswith("7.self_attn.q_proj.lora_B.weight") else name, "ART-216", "8 of 560 lora_B"),
        (lambda name: name.replace(".79.", ".80."), "ART-215", "the file has tensors of 81 layers, the base has 80"),
    ],
)
def test_faults_of_a_70b_adapter_are_named_without_its_base(
    change: Callable[[str], str], check: str, words: str, base_70b: Path, tmp_path: Path
) -> None:
    shapes = large.pairs(large.attention_and_mlp(large.LLAMA_3_70B), rank=1)  # type: ignore[arg-type]
    changed = {change(name): shape for name, shape in shapes.items()}
    changed.pop("", None)
    adapter = large.write_adapter(tmp_path / "adapter", changed, r=1, target_modules=[*large.ATTENTION, *large.MLP])
    seen = failed(grade_adapter(adapter, "a", base=str(base_70b), prompt=None))
    assert words in seen[check]


def failed(verdict: Verdict) -> dict[str, str]:
    return {each.check.id: each.observed for each in verdict.results if each.outcome is Outcome.FAIL}


def experts(config: dict[str, Any], rank: int) -> dict[str, tuple[int, ...]]:
    """Pairs for each expert of each layer by itself, as versions of transformers before 5 have them."""
    names = (
        {"w1": (0, 1), "w3": (0, 1), "w2": (1, 0)} if config["model_type"] == "mixtral" else dict.fromkeys(large.MLP)
    )
    block = "block_sparse_moe" if config["model_type"] == "mixtral" else "mlp"
    sizes = (config["hidden_size"], config.get("moe_intermediate_size", config["intermediate_size"]))
    number = config.get("num_experts") or config["num_local_experts"]

    def modules() -> Any:
        for layer in range(config["num_hidden_layers"]):
            for expert in range(number):
                for name in names:
                    into, out = sizes[::-1] if name in ("w2", "down_proj") else sizes
                    yield f"model.layers.{layer}.{block}.experts.{expert}.{name}", into, out

    return large.pairs(modules(), rank)


@pytest.mark.parametrize("name", ["MIXTRAL_8X7B", "QWEN3_30B_A3B"])
def test_stacked_experts_are_examined_without_their_base(name: str, tmp_path: Path) -> None:
    config: dict[str, Any] = getattr(large, name)
    number, hidden = config.get("num_experts") or config["num_local_experts"], config["hidden_size"]
    middle = config.get("moe_intermediate_size", config["intermediate_size"])
    rank, shapes = 2, dict[str, tuple[int, ...]]()
    for layer in range(config["num_hidden_layers"]):
        part = f"base_model.model.model.layers.{layer}.mlp.experts"
        for wrapper, into, out in ((f"{part}.base_layer", hidden, 2 * middle), (part, middle, hidden)):
            shapes[f"{wrapper}.lora_A.weight"] = (rank * number, into)
            shapes[f"{wrapper}.lora_B.weight"] = (out, rank * number)
    adapter = large.write_adapter(
        tmp_path / "adapter", shapes, r=rank, target_modules=[], target_parameters=["experts.gate_up_proj", "experts.down_proj"]
    )  # fmt: skip
    base = large.write_base(tmp_path / "base", config)
    verdict = grade_adapter(adapter, "a", base=str(base), prompt=None)
    assert not failed(verdict), verdict.cause
    assert verdict.examined_stages == ("artifact",)
    evidence = record(adapter, base=str(base))
    assert evidence.pairs is not None
    assert {each.rank for each in evidence.pairs} == {rank}
    assert len(evidence.pairs) == len(shapes) // 2


def test_a_base_without_weights_gives_the_same_artifact_as_with_them(
    adapter: Path, llama: Path, tmp_path: Path, assert_sound: Callable[[Path, Path], Verdict]
) -> None:
    whole = assert_sound(adapter, llama)
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(llama / "config.json", bare)
    verdict = grade_adapter(adapter, "a", base=str(bare), prompt=None)
    assert verdict.examined_stages == ("artifact",)
    assert verdict.status is Status.NOT_SHOWN

    def artifact(found: Verdict) -> list[tuple[str, str]]:
        return [(each.check.id, each.outcome) for each in found.results if each.check.stage == "artifact"]

    assert artifact(verdict) == artifact(whole)


@pytest.mark.parametrize("name", ["num_hidden_layers", "hidden_size", "vocab_size"])
def test_a_configuration_without_weights_cannot_ask_for_any_size(
    name: str, adapter: Path, llama: Path, tmp_path: Path
) -> None:
    table = json.loads((llama / "config.json").read_text())
    base = large.write_base(tmp_path / "base", {**table, name: 10**11})
    with pytest.raises(BaseModelError, match=rf"asks for {name} 1e\+11, and no known model has more than"):
        grade_adapter(adapter, "a", base=str(base), prompt=None)


def test_a_base_that_does_not_fit_into_memory_is_not_loaded_and_the_report_says_so(
    adapter: Path, llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "free_memory", lambda: 1000)
    monkeypatch.setattr(recorder, "load_base", lambda *_: pytest.fail("it is loaded"))
    verdict = grade_adapter(adapter, "a", base=str(llama), prompt=None)
    assert verdict.examined_stages == ("artifact",)
    assert "the base in float32 takes" in verdict.coverage_text
    assert "of memory are free" in verdict.coverage_text
    assert any("of the weight's own" in note for note in verdict.notes)  # the base's weights are read all the same


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_weights_of_a_7b_base_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = large.write_base(tmp_path / "base", large.MISTRAL_7B)
    layers = large.attention_and_mlp(large.MISTRAL_7B)  # type: ignore[arg-type]
    shapes: dict[str, tuple[int, ...]] = {f"{name}.weight": (out, into) for name, into, out in layers}
    shapes |= {f"model.layers.{layer}.{each}.weight": (4096,) for layer in range(32) for each in
               ("input_layernorm", "post_attention_layernorm")}  # fmt: skip
    shapes |= {
        "model.embed_tokens.weight": (32000, 4096),
        "lm_head.weight": (32000, 4096),
        "model.norm.weight": (4096,),
    }
    large.write_sparse(base / "model.safetensors", shapes, filled=1000)
    assert (base / "model.safetensors").stat().st_size > 14 * 10**9
    modules = large.attention_and_mlp(large.MISTRAL_7B)  # type: ignore[arg-type]
    adapter = large.write_adapter(
        tmp_path / "adapter", large.pairs((each for each in modules if "q_proj" in each[0]), 8), r=8, target_modules=["q_proj"]
    )  # fmt: skip
    program = PROGRAM.replace("folder, base", "from sft_ref.harness.recorders.folder import recorder\nrecorder.free_memory = lambda: 16 * 10**9\nfolder, base", 1)  # fmt: skip  # noqa: E501
    monkeypatch.setattr(sys.modules[__name__], "PROGRAM", program)
    found, evidence = grade_apart(adapter, base)
    assert found["status"] == Status.NOT_SHOWN, found["cause"]
    assert "the base in float32 takes 29 GB, and 16 GB of memory are free" in found["coverage"]
    assert found["kilobytes"] * 1024 < 500 * 10**6
    assert evidence.pairs is not None
    assert all(each.base for each in evidence.pairs)


def test_free_memory_is_the_least_of_machine_container_and_limit(tmp_path: Path) -> None:
    from sft_ref.harness.instruments.free_memory import free_memory

    assert free_memory(tmp_path) > 0
    (tmp_path / "memory.max").write_text("3000\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert free_memory(tmp_path) == 2000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(tmp_path) > 2000


def test_each_weight_is_measured_as_torch_measures_it(adapter: Path, llama: Path) -> None:
    from safetensors.torch import load_file

    tensors, weights = load_file(adapter / families.WEIGHTS), load_file(llama / "model.safetensors")
    pairs = record(adapter, base=str(llama)).pairs
    assert pairs is not None
    for each in pairs:
        a, b = (tensors[f"base_model.model.{each.module}.lora_{side}.weight"] for side in "AB")
        assert each.product == pytest.approx((b @ a).norm().item(), rel=1e-5)
        assert each.addition == pytest.approx(2 * each.product)
        assert each.base == pytest.approx(weights[f"{each.module}.weight"].norm().item(), rel=1e-5)
