"""A record that is absent, damaged, hostile or of another kind is one line, and the exit code of bad input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from families import edit_config
from safetensors.torch import load_file, save

from sft_ref.cli.main import main
from sft_ref.errors import AdapterError
from sft_ref.reference.record import RECORD
from sft_ref.witnessing.record.schema import TENSORS, digest_bytes, read_stored


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "adapter")


def with_json(**changes: Any) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        path = folder / RECORD
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return plant


def with_tensors(**changes: torch.Tensor | None) -> Callable[[Path], None]:
    """Other tensors, and a hash that fits them."""

    def plant(folder: Path) -> None:
        tensors = {**load_file(folder / TENSORS), **changes}
        content = save({name: each for name, each in tensors.items() if each is not None})
        (folder / TENSORS).write_bytes(content)
        with_json(tensors_sha256=digest_bytes(content))(folder)

    return plant


def with_probe(**changes: Any) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        probes = json.loads((folder / RECORD).read_text())["probes"]
        with_json(probes=[{**probes[0], **changes}, *probes[1:]])(folder)

    return plant


def as_bytes(content: bytes) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        (folder / RECORD).write_bytes(content)

    return plant


def link_to_device(folder: Path) -> None:
    (folder / RECORD).unlink()
    (folder / RECORD).symlink_to("/dev/zero")


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "absent": (lambda folder: (folder / RECORD).unlink(), "holds no sft_ref_record.json"),
    "tensors absent": (lambda folder: (folder / TENSORS).unlink(), "cannot be read"),
    "empty": (as_bytes(b""), "it is not JSON"),
    "no JSON": (as_bytes(b"\x80\x04pickle"), "it is not JSON"),
    "a list": (as_bytes(b"[]"), "cannot be read"),
    "deep": (as_bytes(b"[" * 100_000), "nested too deeply"),
    "a device": (link_to_device, "it is not a regular file"),
    "another format": (with_json(format=3), "has format 3, and this version reads 2"),
    "a field of another type": (with_json(scalings=[1]), "expected `object`"),
    "infinite": (with_json(scalings={"a": 1e999}), "cannot be read"),
    "tensors of another record": (with_json(tensors_sha256="0" * 64), "does not belong to it"),
    "top ids missing": (with_tensors(top_ids=None), "top_ids is not"),
    "logits of another shape": (with_tensors(logits_trained=torch.zeros(2, 3)), "another shape than top_ids"),
    "logits that are whole numbers": (
        with_tensors(sketch_value=torch.zeros(31, 16, dtype=torch.int8)),
        "floating-point",
    ),
    "sketch too short": (with_tensors(sketch_index=torch.zeros(1, 16, dtype=torch.int64)), "do not fit the names"),
    "autocast of another name": (
        with_json(precision={"base": "float32", "adapter": None, "autocast": "load", "attention": None}),
        "invalid enum value 'load'",
    ),
    "no ids": (with_probe(input_ids=[], labels=[]), "cannot be read"),
    "no positions": (with_probe(positions=[]), "cannot be read"),
    "labels too short": (with_probe(labels=[1]), "1 labels"),
    "a position outside": (with_probe(positions=[10_000]), "a position outside of its ids"),
    "a negative id": (with_probe(input_ids=[-5]), "cannot be read"),
}
"""Name -> what is done to a folder, and what is said of it."""


@pytest.mark.parametrize("name", BAD)
def test_a_bad_record_is_one_line(name: str, copied: Path) -> None:
    plant, pattern = BAD[name]
    plant(copied)
    with pytest.raises(AdapterError, match=pattern) as error:
        read_stored(copied)
    assert "\n" not in str(error.value)


def test_an_id_beyond_the_vocabulary_is_not_looked_up(copied: Path) -> None:
    from sft_ref.witnessing.verifying.folder import verify_folder

    for changes in ({"input_ids": [2**31 - 1] * 60, "labels": [1] * 60}, {"input_ids": [1] * 60, "labels": [800] * 60}):
        with_probe(**changes)(copied)
        result = verify_folder(copied)
        assert any("outputs are not compared" in note for note in result.notes)


@pytest.mark.parametrize("start", [-(2**63), -1, 2**40])
def test_an_index_beyond_a_tensor_is_not_looked_up(start: int, copied: Path) -> None:
    from sft_ref.witnessing.verifying.folder import verify_folder

    index = load_file(copied / TENSORS)["sketch_index"]
    with_tensors(sketch_index=torch.full_like(index, start))(copied)
    result = verify_folder(copied)
    assert any("tensors of the base are not found" in note for note in result.notes)


@pytest.mark.usefixtures("in_this_process")
def test_the_command_compares_and_says_so_by_its_exit_code(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_config(copied, lora_alpha=16)
    assert main(["verify", str(copied), "--base", "toy", "--json", str(tmp_path / "out.json")]) == 1
    assert "artifact: lora_alpha was 8 in training, and adapter_config.json says 16" in capsys.readouterr().out
    written = json.loads((tmp_path / "out.json").read_text())
    assert not written["ok"]
    assert {each["kind"] for each in written["differences"]} == {"artifact", "load"}
    edit_config(copied, lora_alpha=8)
    assert main(["verify", str(copied)]) == 0
    assert "as recorded (artifact, load, tokenizer, template, base, precision)" in capsys.readouterr().out
    (copied / RECORD).write_text("{}")
    assert main(["verify", str(copied)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_files_are_compared_where_the_base_cannot_be_had(
    copied: Path, no_hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from sft_ref.witnessing.verifying.folder import verify_folder

    edit_config(copied, base_model_name_or_path="nobody/nothing")
    with pytest.raises(Exception, match="nobody/nothing"):
        verify_folder(copied)
    edit_config(copied, lora_alpha=16)
    result = verify_folder(copied)
    assert result.kinds == {"artifact"}
    assert any("it is not loaded" in note for note in result.notes)
