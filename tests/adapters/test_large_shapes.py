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
from safetensors.torch import load_file

from sft_ref.errors import BaseModelError
from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.verdict import Status, Verdict
from sft_ref.harness.evidence import storage
from sft_ref.harness.evidence.adapter import AdapterEvidence
from sft_ref.harness.grading.folder import grade_adapter
from sft_ref.harness.instruments.memory.free_memory import free_memory
from sft_ref.harness.recorders.folder import recorder
from sft_ref.harness.recorders.folder.recorder import record

MEMORY = 500 * 10**6
"""Bytes that a process may take at most; 350 MB are those of torch, transformers and peft."""

SECONDS = 100
"""Of processor time that one large adapter may take: ten times what it takes on a slow machine."""

LINEARS = [*large.ATTENTION, *large.MLP]

PROGRAM = """
import json, resource, sys
from pathlib import Path
from sft_ref.harness.grading.folder import grade_adapter
from sft_ref.harness.recorders.folder import recorder

folder, base, file = map(Path, sys.argv[1:4])
if len(sys.argv) > 4:
    recorder.free_memory = lambda: int(sys.argv[4])
verdict = grade_adapter(folder, folder.name, base=str(base), prompt=None, save_evidence=file)
used = resource.getrusage(resource.RUSAGE_SELF)  # its ru_maxrss is at least that of the process that started this one
[peak] = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(json.dumps({"bytes": 1024 * int(peak), "seconds": used.ru_utime + used.ru_stime, "status": verdict.status,
    "cause": verdict.cause, "coverage": verdict.coverage_text, "notes": verdict.notes}))
"""

measured = pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/status is Linux's")


def grade_apart(folder: Path, base: Path, free: int | None = None) -> tuple[dict[str, Any], AdapterEvidence]:
    """What a process of its own finds out of an adapter, and the time and memory that it takes.

    Args:
        folder: of the adapter.
        base: folder of the base.
        free: bytes of memory that the process believes to be free; those that are where None.
    """
    file = folder.with_name("evidence.safetensors")
    words = [str(each) for each in (folder, base, file, *([free] if free else []))]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), storage.load(file, AdapterEvidence)


def failed(verdict: Verdict) -> dict[str, str]:
    """The checks that fail, with what they observed."""
    return {each.check.id: each.observed for each in verdict.results if each.outcome is Outcome.FAIL}


@pytest.fixture
def base_70b(tmp_path: Path) -> Path:
    """A base of 70 billion parameters, without weights."""
    return large.write_base(tmp_path / "base", large.LLAMA_3_70B)


@pytest.mark.slow
@measured
def test_an_adapter_of_70b_takes_less_than_500_mb(base_70b: Path, tmp_path: Path) -> None:
    shapes = large.pairs(large.linears(large.LLAMA_3_70B), 16)
    adapter = large.write_adapter(tmp_path / "adapter", shapes, r=16, lora_alpha=32, target_modules=LINEARS)
    assert (adapter / families.WEIGHTS).stat().st_size > 400 * 10**6
    found, evidence = grade_apart(adapter, base_70b)
    assert found["status"] == Status.NOT_SHOWN, found["cause"]
    assert "Examined: artifact. Not examined: load (the folder of the base holds no weights)" in found["coverage"]
    assert found["bytes"] < MEMORY
    assert found["seconds"] < SECONDS
    assert evidence.pairs is not None
    assert len(evidence.pairs) == 7 * 80
    assert {(each.rank, each.scaling, each.dtype) for each in evidence.pairs} == {(16, 2.0, "BF16")}
    assert not any(each.is_dead for each in evidence.pairs)
    assert any(note.startswith("560 pairs, rank 16, scaling 2, BF16, norm of the addition") for note in found["notes"])
    assert evidence.expected is not None
    assert evidence.expected.parameters == 70_553_706_496


@pytest.mark.slow
@measured
def test_a_whole_output_head_beside_the_pairs_is_read_in_pieces(base_70b: Path, tmp_path: Path) -> None:
    head = "base_model.model.lm_head.weight"
    adapter = large.write_adapter(
        tmp_path / "adapter",
        {**large.pairs(large.linears(large.LLAMA_3_70B, range(2)), 16), head: (128256, 8192)},
        r=16,
        modules_to_save=["lm_head"],
        layers_to_transform=[0, 1],
        target_modules=LINEARS,
    )
    found, evidence = grade_apart(adapter, base_70b)
    assert found["status"] == Status.NOT_SHOWN, found["cause"]
    assert found["bytes"] < MEMORY  # the head alone has 2.1 GB
    assert evidence.values is not None
    assert evidence.values[head].largest > 0


@pytest.mark.parametrize(
    ("change", "check", "words"),
    [
        (
            lambda name: name.replace(".79.", ".80."),
            "ART-215",
            "the file has tensors of 81 layers, but the base has 80",
        ),
        (
            lambda name: "" if ".79." in name else f"module.{name}",
            "ART-217",
            "every key of layer 79 is missing (14 of 1120)",
        ),
    ],
)
def test_faults_of_a_70b_adapter_are_named_without_its_base(
    change: Callable[[str], str], check: str, words: str, base_70b: Path, tmp_path: Path
) -> None:
    shapes = large.pairs(large.linears(large.LLAMA_3_70B), 1)
    changed = {change(name): shape for name, shape in shapes.items()}
    changed.pop("", None)
    adapter = large.write_adapter(tmp_path / "adapter", changed, r=1, target_modules=LINEARS)
    assert words in failed(grade_adapter(adapter, "a", base=str(base_70b), prompt=None))[check]


@pytest.mark.slow
@measured
def test_weights_of_a_7b_base_are_read_in_pieces(tmp_path: Path) -> None:
    base = large.write_base(tmp_path / "base", large.MISTRAL_7B)
    shapes: dict[str, tuple[int, ...]] = {f"{name}.weight": (out, into) for name, into, out in large.linears(large.MISTRAL_7B)}  # fmt: skip  # noqa: E501
    for layer in range(32):
        norms = ("input_layernorm", "post_attention_layernorm")
        shapes |= {f"model.layers.{layer}.{each}.weight": (4096,) for each in norms}
    shapes |= {f"{each}.weight": (32000, 4096) for each in ("model.embed_tokens", "lm_head")}
    large.write_sparse(base / "model.safetensors", {**shapes, "model.norm.weight": (4096,)}, filled=1000)
    assert (base / "model.safetensors").stat().st_size > 14 * 10**9
    queries = (each for each in large.linears(large.MISTRAL_7B) if "q_proj" in each[0])
    adapter = large.write_adapter(tmp_path / "adapter", large.pairs(queries, 8), r=8, target_modules=["q_proj"])
    found, evidence = grade_apart(adapter, base, free=16 * 10**9)
    assert found["status"] == Status.NOT_SHOWN, found["cause"]
    assert "load (the base in float32 takes 29 GB, and 16 GB of memory are free)" in found["coverage"]
    assert found["bytes"] < MEMORY
    assert evidence.pairs is not None
    assert len(evidence.pairs) == 32
    assert all(each.base for each in evidence.pairs)


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
        of_weights = "ART-237"  # rounding is computed from the weights
        results = [each for each in found.results if each.check.stage == "artifact" and each.check.id != of_weights]
        return [(each.check.id, each.outcome) for each in results]

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
    assert any("of the weight's own" in note for note in verdict.notes)  # which is read all the same
    assert any("the base is not loaded; headers" in note for note in verdict.notes)


def test_free_memory_is_the_least_of_machine_container_and_limit(tmp_path: Path) -> None:
    assert free_memory(tmp_path) > 0
    (tmp_path / "memory.max").write_text("3000\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert free_memory(tmp_path) == 2000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(tmp_path) > 2000


def test_each_pair_is_measured_as_torch_measures_it(adapter: Path, llama: Path) -> None:
    tensors, weights = load_file(adapter / families.WEIGHTS), load_file(llama / "model.safetensors")
    pairs = record(adapter, base=str(llama)).pairs
    assert pairs
    for each in pairs:
        a, b = (tensors[f"base_model.model.{each.module}.lora_{side}.weight"] for side in "AB")
        assert each.product == pytest.approx((b @ a).norm().item(), rel=1e-5)
        assert each.addition == pytest.approx(2 * each.product)
        assert each.base == pytest.approx(weights[f"{each.module}.weight"].norm().item(), rel=1e-5)
