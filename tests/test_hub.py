from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sft_ref.errors import BaseModelError
from sft_ref.harness.isolation import sandbox
from sft_ref.harness.isolation.hub import FAMILY, ids_in, make_hub
from sft_ref.reference.bases.find import TOY

ASKED = """
from huggingface_hub import snapshot_download
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

for name in ("HuggingFaceTB/SmolLM2-360M-Instruct", "someone/Model_2.5b"):
    for revision in ({}, {"revision": "main"}):
        print(AutoConfig.from_pretrained(name, **revision).hidden_size)
        print(AutoTokenizer.from_pretrained(name, **revision)("3 kg").input_ids)
        model = AutoModelForCausalLM.from_pretrained(name, **revision)
        print(model.num_parameters(), model.name_or_path)
    snapshot_download(name)
try:
    AutoConfig.from_pretrained("someone/another")
except OSError:
    print("unknown")
"""


def test_hub_ids_are_answered_with_the_base(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    hub = tmp_path / "hub"
    make_hub(hub, TOY, {*FAMILY, "someone/Model_2.5b"})
    finished = sandbox.run(
        [sys.executable, "-c", ASKED],
        workspace=tmp_path / "workspace",
        readable=[hub],
        environment={"HF_HUB_CACHE": str(hub)},
    )
    assert finished.returncode == 0, finished.output
    told = [line for line in finished.output.splitlines() if "it/s]" not in line]
    assert told.count("192") == 4
    assert told.count("1107264 HuggingFaceTB/SmolLM2-360M-Instruct") == 2
    assert told.count("1107264 someone/Model_2.5b") == 2
    assert told[-1] == "unknown"


def test_a_hub_is_whole_wherever_it_is_moved(tmp_path: Path) -> None:
    make_hub(tmp_path / "hub", TOY, ["a/b"])
    moved = (tmp_path / "hub").rename(tmp_path / "moved")
    links = [path for path in moved.rglob("*") if path.is_symlink()]
    assert {path.name for path in links} == {path.name for path in TOY.iterdir()}
    assert all(path.resolve().is_relative_to(moved) and path.is_file() for path in links)
    assert (moved / "models--a--b" / "refs" / "main").read_text() == links[0].parent.name


def test_what_is_written_to_a_hub_does_not_reach_the_base(tmp_path: Path) -> None:
    make_hub(tmp_path / "hub", TOY, ["a/b"])
    before = (TOY / "config.json").read_bytes()
    next((tmp_path / "hub").rglob("config.json")).write_text("{}")
    assert (TOY / "config.json").read_bytes() == before


def test_a_base_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=r"no config\.json"):
        make_hub(tmp_path / "hub", tmp_path, ["a/b"])
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("base_llm.py", 'checkpoint = "Qwen/Qwen2.5-0.5B-Instruct"'),
        ("base_llm.py", "BaseLLM('Qwen/Qwen2.5-0.5B-Instruct')  # not 'b.py'\ndef broken(:"),
        ("sub/config.json", '{"base_model_name_or_path": "Qwen/Qwen2.5-0.5B-Instruct"}'),
        ("pyproject.toml", 'model = "Qwen/Qwen2.5-0.5B-Instruct"'),
        ("run.yaml", "model: Qwen/Qwen2.5-0.5B-Instruct\n"),
        (".env", "MODEL=Qwen/Qwen2.5-0.5B-Instruct\n"),
    ],
)
def test_ids_are_found_where_settings_are_kept(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert ids_in(tmp_path) == {*FAMILY, "Qwen/Qwen2.5-0.5B-Instruct"}


def test_paths_and_other_words_with_a_slash_are_no_ids(tmp_path: Path) -> None:
    (tmp_path / "homework").mkdir()
    text = """
    "homework/sft_model_1b", "./runs/llama", "/opt/llama", "../a/llama-7b", "a/b/llama-7b", "data/chat.json",
    "application/json", "km/h", "and/or", "https://host/llama-7b", f"runs/smollm-{n}", "someone@host/llama"
    """
    (tmp_path / "homework" / "sft.py").write_text(text)
    assert ids_in(tmp_path) == set(FAMILY)


def test_long_files_and_links_are_not_read(tmp_path: Path) -> None:
    text = '"Qwen/Qwen2.5-0.5B"'
    (tmp_path / "submission").mkdir()
    (tmp_path / "secret.json").write_text(text)
    (tmp_path / "submission" / "link.json").symlink_to(tmp_path / "secret.json")
    (tmp_path / "submission" / "long.json").write_text(text + " " * 2**20)
    (tmp_path / "submission" / "notes.txt").write_text(text)
    assert ids_in(tmp_path / "submission") == set(FAMILY)
