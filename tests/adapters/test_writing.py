"""--chat-template says how the texts of a bare adapter are written, and where they end is known before it is asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sft_ref.cli.main import main
from sft_ref.errors import SftRefError
from sft_ref.harness.core.check import Outcome, Result
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.evidence.answers import GIVEN, LITERAL, TEMPLATE
from sft_ref.harness.grading.folder import grade_adapter
from sft_ref.harness.grading.target import grade_one
from sft_ref.harness.recorders.folder.recorder import record
from sft_ref.reference.bases.find import TOY

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LITERAL_ROWS = [{"prompt": "Who?\n", "completion": "Me."}] * 2


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(LITERAL_ROWS))
    return path


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "chat.jinja"
    path.write_text(CHATML)
    return path


def gen_203(verdict: Verdict) -> Result:
    return next(each for each in verdict.results if each.check.id == "GEN-203")


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ({}, LITERAL),
        ({"chat_template": "tokenizer"}, TEMPLATE),
        ({"chat_template": "FILE"}, TEMPLATE),
        ({"prompt": "{question}{answer}"}, GIVEN),
    ],
)
def test_rows_are_asked_as_the_user_says(
    options: dict[str, Any], given: str, toy_adapter: Path, rows: Path, template: Path
) -> None:
    options = {name: str(template) if value == "FILE" else value for name, value in options.items()}
    evidence = record(toy_adapter, data=rows, **options)
    assert evidence.answers is not None
    assert evidence.answers.given == given
    assert evidence.stop_contract.wording == given
    assert evidence.stop_contract.end in evidence.stop_contract.configured


def test_what_never_stops_is_reported_without_rows(toy_adapter: Path, tmp_path: Path, template: Path) -> None:
    base = Path(shutil.copytree(TOY, tmp_path / "base"))
    for name, change in (
        ("generation_config", {"eos_token_id": 0}),
        ("tokenizer_config", {"eos_token": "<|endoftext|>"}),
    ):
        path = base / f"{name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    (base / "special_tokens_map.json").unlink()  # it says the same as tokenizer_config, and comes first
    options = {"base": str(base), "prompt": None}
    broken = grade_adapter(toy_adapter, "it", chat_template=str(template), **options)  # type: ignore[arg-type]
    assert broken.stages == ("generate",)
    assert "answers formatted by the chat template end with '<|im_end|>', but" in gen_203(broken).observed
    assert "--chat-template" in gen_203(broken).rerun
    unknown = grade_adapter(toy_adapter, "it", **options)  # type: ignore[arg-type]
    assert gen_203(unknown).outcome is Outcome.SKIPPED


def test_texts_are_split_by_the_prompt(toy_adapter: Path, tmp_path: Path) -> None:
    data = tmp_path / "rows.json"
    data.write_text(json.dumps([{"text": "Q: Who? A: Me."}]))
    evidence = record(toy_adapter, data=data, prompt="Q: {question} A: {answer}")
    assert evidence.answers is not None
    assert evidence.answers.rows == 1


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--chat-template", "tokenizer"], "neither the adapter nor its base has a chat template"),
        (["--chat-template", "tokenizer", "--prompt", "{question} {answer}"], "give one of them"),
        (["--chat-template", "ROWS", "--data", "TEXTS"], "row 1 is a text, which does not say where its answer begins"),
        (["--labels", "all"], "--labels: is for a data set"),
        (["--max-length", "5"], "--max-length: is for a data set"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(
    words: list[str], says: str, toy_adapter: Path, tmp_path: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = tmp_path / "texts.json"
    texts.write_text('[{"text": "a"}]')
    base = Path(shutil.copytree(TOY, tmp_path / "base"))
    config = base / "tokenizer_config.json"
    config.write_text(json.dumps({k: v for k, v in json.loads(config.read_text()).items() if k != "chat_template"}))
    stands_for = {"ROWS": str(rows), "TEXTS": str(texts)}
    assert main(["grade", str(toy_adapter), "--base", str(base), *(stands_for.get(each, each) for each in words)]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_chat_template_is_not_for_a_merged_model(llama: Path) -> None:
    with pytest.raises(SftRefError, match="--chat-template: is for an adapter or a data set, and"):
        grade_one(str(llama), chat_template="tokenizer")
