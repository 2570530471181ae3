"""Whatever is missing of what a submission's processes wrote, no check breaks, and nothing is shown that was not seen."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from sft_ref.data import Row, generate_rows
from sft_ref.harness.check import Outcome, Result
from sft_ref.harness.runner import plan, run
from sft_ref.harness.sandbox import Finished
from sft_ref.harness.submission import evidence as evidence_module
from sft_ref.harness.submission.checks import CHECKS
from sft_ref.harness.submission.convention import encode
from sft_ref.harness.submission.evidence import Evidence
from sft_ref.harness.submission.judge import conclude
from sft_ref.harness.submission.layout import Layout
from sft_ref.harness.submission.workplace import Told, Workplace
from sft_ref.harness.taught import IGNORED
from sft_ref.harness.verdict import Standing
from sft_ref.models import TOY, load_model, load_tokenizer
from sft_ref.precision import POLICIES

Sections = dict[str, dict[str, Any]]

DRAWN = generate_rows(5)
ROWS, UNSEEN, QUESTIONS = ([next(DRAWN) for _ in range(count)] for count in (12, 8, 8))
DONE = Finished(0, "", "", 1.0, sandboxed=True)


class Recorded(Workplace):
    """A workplace that runs nothing, and gives what was written before."""

    def run(self, verb: str, name: str, **request: object) -> Told:
        """What was recorded of a verb."""
        return Told(RECORDED[verb], self.folder / "out" / verb, DONE)


RECORDED: dict[str, Sections] = {}


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Sections]]:
    """Folders and sections as a small sound submission leaves them: a blank adapter that is moved a little."""
    from peft import LoraConfig, get_peft_model

    work = tmp_path_factory.mktemp("capture") / "work"
    tokenizer = load_tokenizer(TOY)
    torch.manual_seed(0)
    model = get_peft_model(
        load_model(TOY, POLICIES["fp32"]), LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    for name, tensor in model.named_parameters():
        if "lora_B" in name:
            tensor.data.normal_(std=0.02)
    for folder in (work / "code" / "homework" / "sft_model", work / "out" / "train" / "trained"):
        model.save_pretrained(str(folder))
    rows = []
    for question, value in ROWS:
        prompt, target = encode(tokenizer, f"{question} <answer>"), encode(tokenizer, f"{value!r}</answer><|im_end|>")
        rows.append([[*prompt, *target], [*[IGNORED] * len(prompt), *target]])
    train: Sections = {
        "start": {"versions": {}},
        "train": {"done": True},
        "lessons": {
            "rows": rows,
            "passes": [[[0, 1, 2, 3], 2.0], [[4, 5, 6, 7], 1.9]],
            "steps": [[1e-3, 1], [1e-3, 2]],
            "padding_labelled": 0,
            "labelled": True,
            "optimizer": {"name": "AdamW", "weight_decay": 0.0, "tensors": 84},
            "counted": {"base": {"torch.float32": 30}},
            "changed": [],
            "shortened": None,
            "adapter": True,
        },
        "bases": {"asked_for": ["SmolLM2-360M-Instruct"]},
        "end": {"notes": []},
    }
    RECORDED["train"] = train
    evidence = make(work)
    ask: Sections = {
        "start": {"versions": {}},
        "load": {"read": [str(evidence.workplace.layout.output)], "counted": {}, "vocabulary": len(tokenizer)},
        "bases": {"asked_for": ["SmolLM2-360M-Instruct"]},
        "answers": answered(evidence, evidence.asked_rows, [value for _, value in evidence.asked_rows]),
        "probes": {"apart": 0.0, "training": False, "counted": {"base": {"torch.float32": 30}}},
        "parse": {"values": [float(text.partition("<")[0] or "nan") for text in evidence.parse_texts]},
        "score": {"figures": {"accuracy": [0.4], "answer_rate": [0.8]}, "printed": "accuracy 0.4", "given": []},
        "elsewhere": {"loaded": True, "read": []},
        "end": {"notes": []},
    }
    for number, script in enumerate(evidence.scripts):
        said = [float(line["numeral"] or "nan") for line in script["lines"]] or [1.0] * len(script["questions"])
        ask[f"script_{number}"] = answered(evidence, [(question, 0.0) for question in script["questions"]], said)
    (work / "out" / "ask").mkdir(parents=True)
    with torch.no_grad():
        logits = evidence.probe_logits(evidence.trained_model)
    save_file({"logits": logits}, str(work / "out" / "ask" / "probes.safetensors"))
    return work, {"train": train, "ask": ask}


def answered(evidence: Evidence, rows: list[Row], values: list[float]) -> dict[str, Any]:
    """A section of answers: the number behind each prompt, and its end."""
    texts = ["no idea" if math.isnan(value) else f"{value!r}</answer>" for value in values]
    heard = [
        {
            "prompt": list(encode(evidence.tokenizer, f"{question} <answer>")),
            "said": list(encode(evidence.tokenizer, f"{text}<|im_end|>")),
            "off": 0,
            "continued": False,
        }
        for (question, _), text in zip(rows, texts, strict=True)
    ]
    return {"values": values, "texts": [list(pair) for pair in zip(texts, values, strict=True)], "heard": heard}


def make(work: Path) -> Evidence:
    """Evidence of what is recorded."""
    root = work / "code"
    workplace = Recorded(work, Layout(root, ("homework.sft",), root / "homework"), TOY, work / "hub")
    return Evidence(workplace, ROWS, UNSEEN, QUESTIONS, 5)


def grade(capture: tuple[Path, dict[str, Sections]], change: Callable[[dict[str, Sections]], None]) -> list[Result]:
    """Results of all checks, where some of what was recorded is changed; the conclusion can be drawn, too."""
    work, sections = capture
    RECORDED.update(copy.deepcopy(sections))
    change(RECORDED)
    evidence = make(work)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence_module, "_OWN_STEPS", 1)
        patch.setattr(evidence_module, "_PAIRED", 16)
        results = list(run(plan(CHECKS, claims_contract=True), evidence))
        verdict = conclude("it", results, evidence)
    assert verdict.standing in Standing
    return results


def broke(results: list[Result]) -> dict[str, str]:
    return {result.check.id: result.seen for result in results if result.outcome is Outcome.ERROR}


def outcomes(results: list[Result]) -> dict[str, Outcome]:
    return {result.check.id: result.outcome for result in results}


def test_the_capture_itself_is_examined(capture: tuple[Path, dict[str, Sections]]) -> None:
    found = outcomes(grade(capture, lambda recorded: None))
    assert {found[name] for name in ("PRM-101", "TOK-102", "ART-102", "LOD-102", "GEN-101", "PRS-101")} == {"pass"}


PATHS = [
    *(("train", "lessons", key) for key in ("rows", "passes", "steps", "labelled", "optimizer", "counted", "changed")),
    *(("ask", "load", key) for key in ("read", "counted", "vocabulary")),
    *(("ask", "answers", key) for key in ("values", "texts", "heard")),
    *(("ask", f"script_{number}", key) for number in range(4) for key in ("values", "texts", "heard")),
    *(("ask", "probes", key) for key in ("apart", "counted")),
    *(("ask", "score", key) for key in ("figures", "printed", "given")),
    ("ask", "parse", "values"),
    *((verb, section, None) for verb in ("train", "ask") for section in ("bases", "end")),
    *(("ask", section, None) for section in ("load", "answers", "probes", "parse", "score", "elsewhere", "script_0")),
    ("train", "lessons", None),
]


@st.composite
def cuts(draw: st.DrawFn) -> Callable[[dict[str, Sections]], None]:
    """Some of the sections and their parts missing, empty, halved, one row, or not a number."""
    chosen = draw(st.lists(st.tuples(st.sampled_from(PATHS), st.integers(0, 4)), min_size=1, max_size=4))

    def cut(recorded: dict[str, Sections]) -> None:
        for (verb, section, key), how in chosen:
            if key is None:
                recorded[verb].pop(section, None)
            elif key in recorded[verb].get(section, {}):
                recorded[verb][section][key] = _less(recorded[verb][section][key], how)

    cut.__name__ = str(chosen)
    return cut


def _less(value: Any, how: int) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {name: _less(each, how) for name, each in value.items()} if how else {}
    if isinstance(value, list):
        return (
            value[: len(value) // 2],
            [],
            value[:1],
            [math.nan if isinstance(each, float) else each for each in value],
            value[::-1],
        )[how]
    return (0, None, "nan", math.nan, value)[how]


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=cuts())
def test_no_check_breaks_on_what_is_missing(
    capture: tuple[Path, dict[str, Sections]], cut: Callable[[dict[str, Sections]], None]
) -> None:
    assert broke(grade(capture, cut)) == {}


def drop(*path: str) -> Callable[[dict[str, Sections]], None]:
    """Without one section, or one part of it."""

    def cut(recorded: dict[str, Sections]) -> None:
        verb, section, *key = path
        if key:
            recorded[verb][section][key[0]] = []
        else:
            del recorded[verb][section]

    return cut


@pytest.mark.parametrize(
    ("cut", "ids"),
    [
        (drop("train", "lessons", "rows"), ("TOK-102", "LOD-102", "LOD-108", "GEN-101")),
        (drop("ask", "answers", "heard"), ("PRM-101", "GEN-105", "GEN-107")),
        (drop("ask", "probes"), ("LOD-105", "LOD-106")),
        (drop("ask", "elsewhere"), ("LOD-107",)),
        (drop("ask", "score"), ("SCR-101", "SCR-102")),
    ],
    ids=["no texts", "nothing heard", "no probes", "not loaded elsewhere", "no figures"],
)
def test_what_was_not_seen_is_not_decided(
    capture: tuple[Path, dict[str, Sections]], cut: Callable[[dict[str, Sections]], None], ids: tuple[str, ...]
) -> None:
    results = grade(capture, cut)
    assert broke(results) == {}
    assert {outcomes(results)[name] for name in ids} <= {Outcome.SKIPPED, Outcome.BLOCKED}
