"""The toy, answered for by OpenVINO GenAI: `nox -s engines` installs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import sft_ref
from sft_ref import BaseLLM
from sft_ref.cli.main import main
from sft_ref.engines import int8, openvino_export
from sft_ref.engines.loading import load_with_openvino
from sft_ref.errors import EngineError
from sft_ref.sweep.adapter.loading import find_way, load, read_adapter

pytest.importorskip("openvino_genai", reason="the extra openvino is not installed: nox -s engines")

ROWS = sft_ref.split_rows("validation")[:100]
PROMPTS = [sft_ref.format_prompt(question) for question, _ in ROWS]
NEAR = {"fp32": 1e-3, "bf16": 0.5}
"""Gap of two tokens under the fp32 model, in nat, within which either may be chosen."""


@pytest.fixture(scope="module")
def exact(toy_adapter: Path) -> BaseLLM:
    return sft_ref.load(toy_adapter, policy="fp32")


@pytest.fixture(scope="module")
def reference(exact: BaseLLM) -> list[str]:
    return exact.batched_generate(PROMPTS)


def gap(llm: BaseLLM, prompt: str, one: str, other: str) -> float:
    """How far apart the two tokens are, under the model, at which two completions part."""
    ids = [[*llm.tokenizer(text)["input_ids"], llm.tokenizer.eos_token_id] for text in (one, other)]
    place = next(i for i, pair in enumerate(zip(*ids, strict=False)) if pair[0] != pair[1])
    with torch.inference_mode():
        row = torch.tensor([llm.tokenizer(prompt)["input_ids"] + ids[0][:place]])
        logits = llm.model(row).logits[0, -1]
    return float((logits[ids[0][place]] - logits[ids[1][place]]).abs())


@pytest.mark.parametrize("policy", ["fp32", "bf16"])
def test_completions_are_those_of_transformers_but_for_near_ties(
    policy: str, toy_adapter: Path, exact: BaseLLM, reference: list[str]
) -> None:
    found = load_with_openvino(toy_adapter, policy=policy).batched_generate(PROMPTS)
    apart = [each for each in zip(PROMPTS, reference, found, strict=True) if each[1] != each[2]]
    assert len(apart) <= (0 if policy == "fp32" else 10)
    for each in apart:
        assert gap(exact, *each) < NEAR[policy]


def test_prompts_of_unlike_lengths_are_answered_each_for_itself(toy_adapter: Path, reference: list[str]) -> None:
    llm = load_with_openvino(toy_adapter, policy="fp32")
    assert [llm.generate(prompt) for prompt in PROMPTS[:5]] == reference[:5]
    assert llm.batched_generate([]) == []


def test_answers_end_where_the_reference_stops(toy_adapter: Path, exact: BaseLLM) -> None:
    """In the middle of an answer as well."""
    llm = load_with_openvino(toy_adapter, policy="fp32")
    llm.max_new_tokens = exact.max_new_tokens = 3
    try:
        assert llm.batched_generate(PROMPTS[:8]) == exact.batched_generate(PROMPTS[:8])
    finally:
        exact.max_new_tokens = sft_ref.reference.base_llm.MAX_NEW_TOKENS


def test_an_untrained_adapter_answers_otherwise(toy_adapter: Path, tmp_path: Path, reference: list[str]) -> None:
    """Another adapter of the same base is another export."""
    from safetensors.torch import load_file, save_file

    other = tmp_path / "other"
    other.mkdir()
    tensors = load_file(toy_adapter / "adapter_model.safetensors")
    save_file(
        {name: each * 0 if "lora_B" in name else each for name, each in tensors.items()},
        other / "adapter_model.safetensors",
    )
    (other / "adapter_config.json").write_text((toy_adapter / "adapter_config.json").read_text())
    llm = load_with_openvino(other, policy="fp32")
    assert llm.batched_generate(PROMPTS[:20]) != reference[:20]
    assert llm.batched_generate(PROMPTS[:20]) == sft_ref.load(other).batched_generate(PROMPTS[:20])


def test_several_samples_are_refused(toy_adapter: Path) -> None:
    with pytest.raises(EngineError, match="do_sample"):
        load_with_openvino(toy_adapter, policy="fp32").batched_generate(PROMPTS[:1], 2, temperature=0.7)


def test_fp16_is_refused(toy_adapter: Path) -> None:
    with pytest.raises(EngineError, match=r"float16.*--policy fp32 or bf16"):
        load_with_openvino(toy_adapter, policy="fp16")


def test_an_export_that_computes_something_else_is_refused(
    blank_toy: BaseLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = BaseLLM("toy", policy=sft_ref.reference.precision.find_policy("fp32+sdpa")).model
    openvino_export.export(model, tmp_path, weights="fp32")
    convert = openvino_export._convert

    def wrong(model: Any) -> Any:  # noqa: ANN401
        found = convert(model)
        model.model.norm.weight = torch.nn.Parameter(model.model.norm.weight * 1.01)  # OpenVINO shares the old one
        return found

    monkeypatch.setattr(openvino_export, "_convert", wrong)
    with pytest.raises(EngineError, match="differ from torch's"):
        openvino_export.export(model, tmp_path, weights="fp32")


def test_weights_in_8_bits_are_as_near_as_8_bits_are(toy_adapter: Path) -> None:
    """And the scales are of rows: the product of a row with one large weight leaves the others as they were."""
    import openvino
    from openvino import Type, opset13

    weight = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    weight[2] *= 1000
    weight[4] = 0
    given = opset13.parameter([-1, 8], Type.f32)
    product = opset13.matmul(given, opset13.constant(weight.numpy()), transpose_a=False, transpose_b=True)
    model = openvino.Model([opset13.result(product)], [given])
    int8.compress(model)
    kinds = {each.get_element_type() for each in model.get_ops() if each.get_type_name() == "Constant"}
    assert Type.i8 in kinds
    settings = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
    found = openvino.Core().compile_model(model, "CPU", settings)(torch.eye(8).numpy())[0]
    error = (torch.from_numpy(found).T - weight).abs()
    assert (error <= weight.abs().amax(1, keepdim=True) / 254 + 1e-6).all()
    assert error.max() > 0


def test_the_command_scores_as_it_does_with_transformers(
    toy_adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps([list(row) for row in ROWS[:30]]))
    lines = []
    for engine in ("transformers", "openvino"):
        assert main(["test", str(toy_adapter), "--data", str(rows), "--policy", "fp32", "--engine", engine]) == 0
        shown = capsys.readouterr().out
        lines.append(next(line for line in shown.splitlines() if line.startswith("accuracy")))
    assert lines[0] == lines[1]
    assert "computed in f32" in shown


@pytest.mark.parametrize(("name", "most"), [("fp32", 1e-3), ("bf16", 3.0), ("int8", 6.0)])
def test_logits_of_a_way_to_load_drift_as_its_precision_says(name: str, most: float, toy_adapter: Path) -> None:
    adapter = read_adapter(toy_adapter, None)
    ids = torch.tensor([[5, 7, 11, 13, 17, 19, 23]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "position_ids": torch.arange(7)[None]}
    with torch.no_grad():
        due, found = (load(adapter, find_way(way))(**inputs).logits for way in ("merged-fp32", f"openvino-{name}"))
    apart = (found - due).abs().max().item()
    assert apart <= most
    assert name == "fp32" or apart > 1e-3, "it computes in fp32"


def test_a_sweep_measures_the_engine_beside_policies(
    toy_adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.json").write_text(json.dumps([list(row) for row in ROWS[:12]]))
    words = ["--data", "rows.json", "--prompt", "{question} <answer>{answer}</answer>", "--json", "ways.json"]
    ways = ["fp32", "openvino-fp32", "openvino-int8"]
    assert main(["sweep", "--adapter", str(toy_adapter), *words, "--load", *ways]) == 0
    first, exact, rounded = json.loads(Path("ways.json").read_text())
    assert first["verdict"] == "same"
    assert (exact["verdict"], rounded["verdict"]) == ("drift", "drift")
    assert 0 < exact["parity"] < exact["rounding"]
    assert exact["parity"] < rounded["parity"]
    assert (exact["dtypes"], rounded["dtypes"]) == ("fp32/fp32", "int8/bf16")
    assert exact["changed"] == []


@pytest.mark.skipif(sys.platform != "linux", reason="sets the cores of a process")
def test_one_core_is_one_line_and_no_crash(toy_adapter: Path) -> None:
    command = [sys.executable, "-m", "sft_ref", "test", str(toy_adapter), "--engine", "openvino", "--policy", "bf16"]
    alone = f"import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); os.execv({command[0]!r}, {command!r})"
    done = subprocess.run([sys.executable, "-c", alone], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "two cores" in done.stderr
