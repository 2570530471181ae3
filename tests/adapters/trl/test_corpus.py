"""Adapters that TRL's SFTTrainer trained on chat data with text answers: faults are named, and sound ones never broken.

The kept ones lie beside this file; `nox -s trl` trains them anew, and grades those as well.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import families
import pytest
import torch
from peft import PeftModel
from transformers import AutoTokenizer

from sft_ref.cli.main import main
from sft_ref.reference.bases.find import find_base

from ..answers.conftest import at_other_places, base_model
from . import make

pytestmark = pytest.mark.slow

BASE = find_base("toy")
Grade = Callable[..., dict[str, Any]]


@pytest.fixture
def grade(tmp_path: Path) -> Grade:
    """Runs `sft-ref grade` with options, and gives what --json says of the target."""
    rows = make.write_rows(tmp_path / "rows.jsonl")

    def run(target: Path, *options: str, data: bool = True) -> dict[str, Any]:
        words = ["--data", str(rows)] if data else []
        report = tmp_path / "report.json"
        code = main(["grade", str(target), *words, *options, "--json", str(report)])
        [found] = json.loads(report.read_text(encoding="utf-8"))
        assert code == {"sound": 0, "drift": 0, "not shown": 4, "broken": 1}[found["verdict"]]
        return dict(found)

    return run


@pytest.fixture
def adapter(tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a kept adapter."""

    def copied(name: str) -> Path:
        return Path(shutil.copytree(make.KEPT / name, tmp_path / name))

    return copied


def faults(found: dict[str, Any]) -> dict[str, list[str]]:
    """The stages at fault, with the checks that failed there."""
    stages: dict[str, list[str]] = {}
    for each in found["checks"]:
        if each["outcome"] == "fail":
            stages.setdefault(each["stage"], []).append(each["id"])
    return stages


TEMPLATE = ("--chat-template", "tokenizer")


SLOW = pytest.mark.slow


@pytest.mark.parametrize("name", ["sound", pytest.param("rslora", marks=SLOW)])
def test_a_sound_adapter_is_sound(name: str, adapter: Callable[[str], Path], grade: Grade) -> None:
    found = grade(adapter(name), *TEMPLATE)
    assert (found["verdict"], faults(found)) == ("sound", {})


@pytest.mark.parametrize(
    ("rule", "verdict", "at_fault"), [("same", "sound", {}), ("never", "broken", {"generate": ["GEN-201"]})]
)
def test_a_judge_of_ones_own_decides_what_is_right(
    rule: str,
    verdict: str,
    at_fault: dict[str, list[str]],
    adapter: Callable[[str], Path],
    grade: Grade,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    module = f"rules_for_{rule}"
    (tmp_path / f"{module}.py").write_text(
        "def same(answer, truth):\n    return answer == truth\n\ndef never(answer, truth):\n    return False\n"
    )
    found = grade(adapter("sound"), *TEMPLATE, "--judge", f"{module}:{rule}")
    assert (found["verdict"], faults(found)) == (verdict, at_fault)


SYSTEM = "<|im_start|>system\nunits<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n"


@pytest.mark.parametrize(
    ("stage", "check", "options"),
    [
        ("prompt", "PRM-201", ("--prompt", SYSTEM + "{answer}<|im_end|>")),
        ("prompt", "PRM-201", ("--prompt", "### {question}\n### Answer: {answer}<|im_end|>")),
    ],
    ids=["without the header of the answer", "another template"],
)
def test_another_prompt_is_named(
    stage: str, check: str, options: tuple[str, ...], adapter: Callable[[str], Path], grade: Grade
) -> None:
    found = grade(adapter("sound"), *options)
    assert found["verdict"] == "broken"
    assert check in faults(found)[stage]


def prefixed(folder: Path) -> Path:
    return families.rename(folder, lambda name: name.replace("base_model.model.", "base_model.model._orig_mod.", 1))


@pytest.mark.parametrize(
    ("name", "spoil", "stage", "check"),
    [
        ("end_masked", lambda folder: folder, "generate", "GEN-202"),
        ("all_masked", lambda folder: folder, "artifact", "ART-003"),
        ("sound", prefixed, "artifact", "ART-213"),
        ("sound", lambda folder: families.edit_config(folder, lora_alpha=128), "scaling", "SCL-201"),
        pytest.param(
            *("sound", lambda folder: families.edit_config(folder, lora_alpha=8), "scaling", "SCL-201"), marks=SLOW
        ),
        pytest.param(
            *("rslora", lambda folder: families.edit_config(folder, use_rslora=False), "scaling", "SCL-201"), marks=SLOW
        ),
    ],
    ids=["end masked", "all masked", "prefixed keys", "alpha * 4", "alpha / 4", "rsLoRA lost"],
)
def test_a_fault_of_the_adapter_is_named(
    name: str, spoil: Callable[[Path], Path], stage: str, check: str, adapter: Callable[[str], Path], grade: Grade
) -> None:
    found = grade(spoil(adapter(name)), *TEMPLATE)
    assert found["verdict"] == "broken"
    assert check in faults(found)[stage], faults(found)
    assert next(iter(faults(found))) == stage


@SLOW
def test_another_base_is_not_called_sound_and_is_among_what_remains(
    adapter: Callable[[str], Path], grade: Grade, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    at_other_places(base_model()).save_pretrained(base)
    AutoTokenizer.from_pretrained(BASE).save_pretrained(base)
    found = grade(adapter("sound"), *TEMPLATE, "--base", str(base))
    assert found["verdict"] == "not shown"
    [reason] = [each["observed"] for each in found["checks"] if each["id"] == "BAS-201"]
    assert "0 of 20 answers are right" in reason
    assert "another base" in reason


def merged(adapter: Path, folder: Path, *, dtype: torch.dtype = torch.float32, times: int = 1) -> Path:
    """The toy with an adapter merged into it so many times, stored in float32."""
    model: Any = base_model().to(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(times):
            model = PeftModel.from_pretrained(model, str(adapter), autocast_adapter_dtype=False).merge_and_unload()
    model.float().save_pretrained(folder)
    return folder


@SLOW
def test_a_sound_merge_is_sound(adapter: Callable[[str], Path], grade: Grade, tmp_path: Path) -> None:
    own = adapter("sound")
    found = grade(merged(own, tmp_path / "merged"), "--adapter", str(own), "--base", "toy", data=False)
    assert (found["verdict"], faults(found)) == ("sound", {})


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"times": 2}, "The adapter is there twice in 12 of 12 merged weights"),
        pytest.param({"times": 0}, "The adapter is not there in 12 of 12 merged weights", marks=SLOW),
        pytest.param({"dtype": torch.bfloat16}, "as a merge in bfloat16 does", marks=SLOW),
    ],
    ids=["twice", "nothing", "in bf16"],
)
def test_a_fault_of_a_merge_is_named(
    how: dict[str, Any], words: str, adapter: Callable[[str], Path], grade: Grade, tmp_path: Path
) -> None:
    own = adapter("sound")
    found = grade(merged(own, tmp_path / "merged", **how), "--adapter", str(own), "--base", "toy", data=False)
    assert (found["verdict"], [*faults(found)]) == ("broken", ["artifact"])
    assert words in found["cause"]


@SLOW
@pytest.mark.filterwarnings("ignore")  # of the libraries that TRL calls
@pytest.mark.parametrize("name", make.NAMES)
def test_what_is_kept_is_what_trl_trains(name: str, tmp_path: Path, grade: Grade) -> None:
    pytest.importorskip("trl", reason="the extra trl is not installed: nox -s trl")
    found = grade(make.train(name, tmp_path / "fresh"), *TEMPLATE, "--base", "toy")
    if name == "end_masked":  # what follows an answer is noise, in which the end may occur: a fault, or else advice
        [ends] = [each["outcome"] for each in found["checks"] if each["id"] == "GEN-202"]
        assert (ends, found["verdict"]) in {("fail", "broken"), ("advice", "not shown")}
        return
    due = {"artifact"} if name == "all_masked" else set()
    assert {*faults(found)} == due, found["cause"]
    assert found["verdict"] == ("broken" if due else "sound")
