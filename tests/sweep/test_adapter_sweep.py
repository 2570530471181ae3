"""A sweep over the ways to load an adapter of one's own: figures, verdicts, changed answers and baselines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import families
import pytest
import torch

from sft_ref.cli.main import main
from sft_ref.errors import AdapterError, PrecisionError, SftRefError
from sft_ref.harness.evidence.answers import Answer
from sft_ref.reference.data import split_rows
from sft_ref.sweep.adapter import baseline, command
from sft_ref.sweep.adapter import run as sweeping
from sft_ref.sweep.adapter.cache import WayCache
from sft_ref.sweep.adapter.figures import WayFigures
from sft_ref.sweep.adapter.loading import find_way, load, read_adapter
from sft_ref.sweep.adapter.measure import Observed, compared
from sft_ref.sweep.adapter.run import AdapterPlan, sweep_adapter
from sft_ref.sweep.cell import CellVerdict

PROMPT = "{question} <answer>{answer}</answer>"
ROWS = 12


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Held-out rows."""
    file = tmp_path_factory.mktemp("data") / "rows.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in split_rows("validation")[:ROWS]))
    return file


def swept(adapter: Path, data: Path, cache: Path, *load: str) -> dict[str, WayFigures]:
    plan = AdapterPlan(adapter, data, load=load, prompt=PROMPT)
    return {each.load: each for each in sweep_adapter(plan, read_adapter(adapter, None), WayCache(cache, {}))}


def test_every_way_is_compared_with_the_first(toy_adapter: Path, data: Path, tmp_path: Path) -> None:
    found = swept(
        toy_adapter, data, tmp_path / "sweep", "fp32", "fp32+sdpa", "merged-fp32", "bf16", "merged-bf16", "fp32+tf32"
    )
    assert [each.verdict for each in found.values()] == ["same", "drift", "drift", "drift", "drift", "not run"]
    assert found["fp32"].parity == 0
    assert found["bf16"].dtypes == "bf16/bf16"
    assert found["merged-bf16"].dtypes == "bf16"  # no adapter is left
    for name in ("fp32+sdpa", "merged-fp32"):
        assert 0 < (found[name].parity or 0) < (found[name].rounding or 0) < (found["bf16"].parity or 0)
    for each in (*found.values(),)[:-1]:
        assert each.top1 == 1
        assert each.rows == ROWS
        assert not each.changed
        assert (each.right or 0) > 0.9


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (lambda model: model.base_model.disable_adapter_layers(), "loss is higher by"),
        (lambda model: model.get_output_embeddings().weight.data.fill_(torch.nan), "logits are not finite"),
    ],
)
def test_a_way_that_loses_answers_is_broken(
    fault: Any, why: str, toy_adapter: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_with_fault(adapter: Any, way: Any) -> Any:
        model = load(adapter, way)
        if way.name == "fp32+sdpa":
            fault(model)
        return model

    monkeypatch.setattr(sweeping, "load", load_with_fault)
    broken = swept(toy_adapter, data, tmp_path / "sweep", "fp32", "fp32+sdpa")["fp32+sdpa"]
    assert broken.verdict is CellVerdict.BROKEN
    assert why in broken.why
    json.dumps(broken.to_json(), allow_nan=False)


def test_an_interrupted_sweep_goes_on_with_the_ways_that_are_left(
    toy_adapter: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = ("fp32", "fp32+sdpa", "bf16")
    due = swept(toy_adapter, data, tmp_path / "whole", *ways)
    loaded: list[str] = []

    def interrupted(adapter: Any, way: Any) -> Any:
        loaded.append(way.name)
        if len(loaded) == 3:
            raise KeyboardInterrupt
        return load(adapter, way)

    monkeypatch.setattr(sweeping, "load", interrupted)
    with pytest.raises(KeyboardInterrupt):
        swept(toy_adapter, data, tmp_path / "sweep", *ways)
    assert swept(toy_adapter, data, tmp_path / "sweep", *ways) == due
    assert loaded == [*ways, "bf16"]
    assert not (tmp_path / "sweep").exists()


@pytest.mark.usefixtures("in_this_process")
def test_what_an_interrupted_sweep_left_is_not_used_for_another(
    toy_adapter: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    begun = WayCache(Path("sweep.partial"), {"adapter": "another"})
    words = ["sweep", "--adapter", str(toy_adapter), "--data", str(data), "--prompt", PROMPT, "--load", "fp32"]
    assert main(words) == 2
    assert "holds an unfinished sweep with another adapter" in capsys.readouterr().err
    begun.remove()
    assert main(words) == 0
    assert not [*tmp_path.iterdir()]


def test_the_adapter_of_a_stranger_is_read_in_a_process_with_limits(
    toy_adapter: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def used_here(*args: object) -> None:
        raise AssertionError("read in the process of the command line")

    for name in ("read_adapter", "sweep_adapter"):
        monkeypatch.setattr(command, name, used_here)
    words = ["sweep", "--adapter", str(toy_adapter), "--data", str(data), "--prompt", PROMPT, "--load", "fp32"]
    assert main([*words, "--folder", str(tmp_path / "sweep")]) == 0


def observed(ids: Sequence[tuple[int, ...]], right: list[bool], loss: float = 1.0) -> Observed:
    answers = tuple(Answer(str(own), is_right, ended=True) for own, is_right in zip(ids, right, strict=True))
    losses = torch.full((len(ids),), loss, dtype=torch.float64)
    return Observed(torch.eye(4), losses, tuple(ids), answers, "fp32/fp32", "float32")


def test_lost_answers_are_broken_even_where_losses_are_equal() -> None:
    ids = [(n, 1) for n in range(40)]
    first = observed(ids, [True] * 40)
    other = [*ids[:20], *((n, 2, 3) for n in range(20, 40))]
    found = compared(observed(other, [n < 20 for n in range(40)]), first, find_way("bf16"), ["?"] * 40)
    assert found.verdict is CellVerdict.BROKEN
    assert found.why == "20 of 40 answers are right, instead of 40"
    assert [each.row for each in found.changed] == [*range(21, 41)]
    assert {each.token for each in found.changed} == {2}


@pytest.mark.parametrize(("now", "was", "token"), [((5,), (5, 6), 2), ((5, 6, 7), (5, 6), 3), ((), (5,), 1)])
def test_the_first_differing_token_may_be_the_end(now: tuple[int, ...], was: tuple[int, ...], token: int) -> None:
    [changed] = compared(observed([now], [True]), observed([was], [True]), find_way("fp32"), ["?"]).changed
    assert changed.token == token


@pytest.mark.usefixtures("in_this_process")
def test_a_baseline_lies_where_the_user_says(
    toy_adapter: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "baseline.json"
    words = ["sweep", "--adapter", str(toy_adapter), "--data", str(data), "--prompt", PROMPT, "--load", "fp32"]
    against = [*words, "bf16", "--folder", str(tmp_path / "sweep"), "--baseline", str(file)]
    assert main([*against, "--compare"]) == 1
    assert f"no baseline: {file}" in capsys.readouterr().out
    assert main([*against, "--update", "--json", str(tmp_path / "found.json")]) == 0
    assert [each["load"] for each in json.loads((tmp_path / "found.json").read_text())] == ["fp32", "bf16"]
    assert main([*against, "--compare"]) == 0
    kept = json.loads(file.read_text())
    kept["ways"]["bf16"]["loss"] += 1
    file.write_text(json.dumps(kept))
    assert main([*against, "--compare"]) == 1
    assert "moved bf16 loss" in " ".join(capsys.readouterr().out.split())
    against.insert(against.index("bf16"), "fp16")
    assert main([*against, "--compare"]) == 1  # a way without a baseline
    against.remove("fp16")
    kept["conditions"]["data"] = "other"
    file.write_text(json.dumps(kept))
    assert main([*against, "--compare"]) == 2
    assert "was made with another data" in capsys.readouterr().err


def test_the_conditions_of_a_baseline_are_the_same_in_another_process(toy_adapter: Path, data: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from sft_ref.sweep.adapter import baseline, loading, run\n"
        "plan = run.AdapterPlan(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "print(baseline.conditions(plan, loading.read_adapter(plan.folder, None)))"
    )
    plan = AdapterPlan(toy_adapter, data)
    due = str(baseline.conditions(plan, read_adapter(toy_adapter, None)))
    seed = os.environ.get("PYTHONHASHSEED", "0")  # it decides the order of a set
    surroundings = {**os.environ, "PYTHONHASHSEED": "1" if seed == "0" else "0"}
    words = [sys.executable, "-c", code, str(toy_adapter), str(data)]
    assert subprocess.run(words, env=surroundings, capture_output=True, check=True).stdout.decode().strip() == due


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--adapter", "ADAPTER"], "give --data FILE"),
        (["--adapter", "ADAPTER", "--data", "DATA", "--png", "x.png"], "--png: is for a sweep that trains"),
        (["--adapter", "ADAPTER", "--data", "DATA", "--train", "fp32"], "--train: is for a sweep that trains"),
        (["--adapter", "ADAPTER", "--data", "DATA", "--compare"], "need the baseline of the adapter"),
        (["--adapter", "ADAPTER", "--data", "DATA", "--load", "merged-int3"], "--load merged-int3: unknown policy"),
        (["--adapter", "nowhere", "--data", "DATA"], "nowhere"),
        (["--prompt", PROMPT], "--prompt: is for an adapter"),
        (["--data", "DATA"], "--data: is for an adapter"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], error: str, toy_adapter: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"ADAPTER": str(toy_adapter), "DATA": str(data)}
    assert main(["sweep", *(places.get(word, word) for word in words)]) == 2
    said = capsys.readouterr().err
    assert error in said
    assert said.count("\n") == 1


def test_what_is_no_whole_lora_adapter_is_refused(toy_adapter: Path, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / name).write_bytes((toy_adapter / name).read_bytes())
    families.edit_config(folder, r=3)
    with pytest.raises(SftRefError, match="sft-ref grade"):
        load(read_adapter(folder, None), find_way("fp32"))
    families.edit_config(folder, peft_type="IA3")
    with pytest.raises(AdapterError, match="IA3"):
        read_adapter(folder, None)
    with pytest.raises(PrecisionError, match="merged-"):
        find_way("int8")
