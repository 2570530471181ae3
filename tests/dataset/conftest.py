"""Bases and adapters without weights: the toy's tokenizer and configurations, with other values in them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sft_ref.harness.core.check import Outcome, Result
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.grading.dataset import grade_dataset
from sft_ref.harness.grading.saved import grade_evidence
from sft_ref.reference.bases.find import TOY

FILES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
CHAT = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
HEADER = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
CHATML = CHAT + HEADER
MARKED = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
    "<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}\n{% endfor %}" + HEADER
)

MakeBase = Callable[..., Path]
MakeRows = Callable[[Sequence[object]], Path]


def chat(*texts: str, system: str = "") -> dict[str, Any]:
    """A conversation in which user and assistant take turns."""
    turns = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]
    return {"messages": [{"role": "system", "content": system}, *turns] if system else turns}


def edit(path: Path, **changes: Any) -> None:
    """Writes other values into a JSON file; None leaves a key out."""
    table = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in table.items() if value is not None}))


@pytest.fixture
def make_base(tmp_path: Path) -> MakeBase:
    """Makes a folder with all of a base but its weights."""

    def make(name: str = "base", *, eos: Any = 2, append: str = "", **tokenizer: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for file in FILES:
            shutil.copy(TOY / file, folder)
        edit(folder / "generation_config.json", eos_token_id=eos)
        edit(folder / "tokenizer_config.json", **tokenizer)
        if append:
            piece = {"SpecialToken": {"id": append, "type_id": 0}}
            single = [{"Sequence": {"id": "A", "type_id": 0}}, piece]
            special = {append: {"id": append, "ids": [2], "tokens": [append]}}
            processor = {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": special}
            edit(folder / "tokenizer.json", post_processor=processor)
        return folder

    return make


@pytest.fixture
def make_rows(tmp_path: Path) -> MakeRows:
    """Writes rows as JSON lines."""

    def make(rows: Sequence[object]) -> Path:
        path = tmp_path / "rows.jsonl"
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
        return path

    return make


@pytest.fixture
def graded(tmp_path: Path) -> Callable[..., Verdict]:
    """Grades a data set, and asserts that saved evidence gives the same results."""

    def grade(path: Path, base: Path | str = "toy", **options: Any) -> Verdict:
        file = tmp_path / "evidence.safetensors"
        verdict = grade_dataset(path, path.name, base=str(base), save_evidence=file, **options)
        again = grade_evidence(file, path.name)
        assert [(each.outcome, each.observed) for each in again.results] == [
            (each.outcome, each.observed) for each in verdict.results
        ]
        assert not [each.observed for each in verdict.results if each.outcome is Outcome.ERROR]
        return verdict

    return grade


def failed(verdict: Verdict) -> dict[str, str]:
    """The checks that fail, with what they observed."""
    return {each.check.id: each.observed for each in verdict.results if each.outcome is Outcome.FAIL}


def result(verdict: Verdict, check: str) -> Result:
    """The result of one check."""
    return next(each for each in verdict.results if each.check.id == check)
