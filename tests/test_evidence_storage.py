"""Evidence that is saved comes back equal, and a file that is no evidence is refused in one line."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import save_file

from sft_ref.errors import EvidenceError
from sft_ref.harness.evidence import storage
from sft_ref.io.tensor_headers import read_metadata


class Color(enum.StrEnum):
    """An enum."""

    RED = "red"


@dataclass(frozen=True)
class Part:
    """A nested part."""

    numbers: torch.Tensor
    by_name: Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Observation:
    """A value of every kind that is supported."""

    text: str
    count: int
    loss: float
    folder: Path
    parts: tuple[Part, ...]
    pair: tuple[str, float]
    color: Color
    kind: Literal["one", "other"]
    scalings: Mapping[int, float]
    names: frozenset[str]
    options: Mapping[str, Any]
    absent: Part | None = None
    flag: bool = True


@dataclass(frozen=True)
class Other:
    """Another class."""

    text: str = ""


@pytest.fixture
def observation() -> Observation:
    """One of every kind, with numbers that are hard to write."""
    shared = torch.arange(6.0).reshape(2, 3)
    part = Part(
        shared.T,
        {
            "half": torch.tensor([1.5, float("nan"), float("inf")], dtype=torch.bfloat16),
            "scalar": torch.tensor(3),
            "empty": torch.zeros(0, 4),
            "flags": torch.tensor([True, False]),
        },
    )
    return Observation(
        text="half a character \ud800 and é",
        count=2**53 + 1,
        loss=float("inf"),
        folder=Path("a/b"),
        parts=(part, Part(shared, {})),
        pair=("x", 0.1),
        color=Color.RED,
        kind="other",
        scalings={3: 0.5},
        names=frozenset({"q", "v"}),
        options={"r": 8, "modules": ["a", None]},
    )


@pytest.fixture
def saved(observation: Observation, tmp_path: Path) -> Path:
    """The file of `observation`."""
    storage.save(observation, tmp_path / "saved.safetensors")
    return tmp_path / "saved.safetensors"


def test_what_is_loaded_equals_what_was_saved(observation: Observation, saved: Path) -> None:
    found = storage.load(saved, Observation)
    assert replace(found, parts=()) == replace(observation, parts=())
    for one, other in zip(found.parts, observation.parts, strict=True):
        assert one.by_name.keys() == other.by_name.keys()
        for a, b in ((one.numbers, other.numbers), *((one.by_name[n], other.by_name[n]) for n in one.by_name)):
            assert a.dtype == b.dtype
            torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


def test_a_tensor_is_not_shared_with_the_caller(observation: Observation, saved: Path) -> None:
    observation.parts[1].numbers.zero_()
    assert storage.load(saved, Observation).parts[1].numbers.sum() == 15  # 0 to 5


def test_a_value_of_another_type_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="cannot save a complex"):
        storage.save({"a": 1j}, tmp_path / "saved.safetensors")


def test_every_changed_byte_is_refused(saved: Path) -> None:
    content = saved.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    for place in (*range(0, header, 37), *range(header, len(content), 5)):
        damaged = bytearray(content)
        damaged[place] ^= 0x15
        saved.write_bytes(damaged)
        if damaged[place : place + 1].isspace() or content[place : place + 1].isspace():
            continue  # space between values of JSON
        with pytest.raises(EvidenceError):
            storage.load(saved, Observation)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_file_that_is_cut_short_is_refused(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with pytest.raises(EvidenceError, match="cut short"):
        storage.load(saved, Observation)


def test_another_class_is_refused(saved: Path) -> None:
    with pytest.raises(EvidenceError, match="it holds 'Observation', not Other or Part"):
        storage.load(saved, Other, Part)


def test_tensors_alone_are_no_evidence(tmp_path: Path) -> None:
    save_file({"weight": torch.ones(2)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(EvidenceError, match="it holds no evidence"):
        storage.load(tmp_path / "adapter_model.safetensors", Other)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="cannot be read"):
        storage.load(tmp_path, Other)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": storage.VERSION + 1}, f"version {storage.VERSION + 1} of the layout"),
        ({"value": {"text": 3}}, "checksum"),
        ({"version": "1"}, "expected `int`"),
        ({"digest": None}, "expected `str`"),
    ],
)
def test_a_changed_envelope_is_refused(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    storage.save(Other("a"), tmp_path / "saved.safetensors")
    envelope = json.loads(read_metadata(tmp_path / "saved.safetensors")["sft_ref_evidence"])
    save_file({}, tmp_path / "saved.safetensors", {"sft_ref_evidence": json.dumps(envelope | change)})
    with pytest.raises(EvidenceError, match=reason):
        storage.load(tmp_path / "saved.safetensors", Other)


def test_a_value_that_does_not_fit_the_class_is_refused(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Elsewhere:
        text: int = 3

    Elsewhere.__name__ = "Other"
    storage.save(Elsewhere(), tmp_path / "saved.safetensors")
    with pytest.raises(EvidenceError, match=r"expected `str`, got `int` at `\$.text`"):
        storage.load(tmp_path / "saved.safetensors", Other)


def test_a_tensor_that_is_not_in_the_file_is_refused(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Named:
        numbers: str = "tensor-7"
        by_name: Mapping[str, str] | None = None

    Named.__name__ = "Part"
    storage.save(Named(by_name={}), tmp_path / "saved.safetensors")
    with pytest.raises(EvidenceError, match=r"expected Tensor, got 'tensor-7' at `\$.numbers`"):
        storage.load(tmp_path / "saved.safetensors", Part)
