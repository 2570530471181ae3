"""Sizes are measured, projected onto the model that is meant, and fail only where a limit is given."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sft_ref.cli import main as cli
from sft_ref.errors import SftRefError
from sft_ref.harness.core.sizes import COURSE, UNLIMITED, Size, SizeLimits, read_limits
from sft_ref.harness.instruments.sizes import project


@pytest.mark.parametrize(
    ("word", "limits"),
    [
        ("adapter=20MB", SizeLimits(adapter=20_000_000)),
        ("adapter=20 mb", SizeLimits(adapter=20_000_000)),
        ("bundle=1.5GiB", SizeLimits(bundle=3 * 2**29)),
        ("parameters=380M", SizeLimits(parameters=380_000_000)),
        ("parameters=1000", SizeLimits(parameters=1000)),
    ],
)
def test_a_limit_is_read(word: str, limits: SizeLimits) -> None:
    assert read_limits([word]) == limits


@pytest.mark.parametrize("word", ["", "adapter", "adapter=", "adapter=big", "adapter=-1", "width=3", "adapter=1EB"])
def test_a_limit_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(SftRefError, match="write adapter, bundle, parameters"):
        read_limits([word])


def test_a_limit_replaces_that_of_the_profile() -> None:
    assert read_limits(["adapter=1GB"], COURSE) == SizeLimits(10**9, COURSE.bundle, COURSE.parameters)


@pytest.mark.parametrize("limits", [UNLIMITED, COURSE, SizeLimits(bundle=7)])
def test_limits_are_written_as_they_are_read(limits: SizeLimits) -> None:
    assert read_limits(limits.words) == limits


def test_nothing_exceeds_no_limit_and_each_limit_is_held_by_itself() -> None:
    size = Size(adapter=30_000_000, bundle=60_000_000, parameters=400_000_000)
    assert not UNLIMITED
    assert size.excess(UNLIMITED) is None
    assert size.excess(COURSE) == ("30,000,000 bytes of adapter", "20,000,000")
    assert size.excess(COURSE, "parameters") == ("400,000,000 parameters", "380,000,000")
    assert Size(20_000_000, 50_000_000, 380_000_000).excess(COURSE) is None


def test_a_file_that_is_no_safetensors_counts_by_its_length(tmp_path: Path) -> None:
    (tmp_path / "adapter_model.safetensors").write_bytes(b"not a tensor at")
    assert project(tmp_path, "toy", "smollm2-135m").bundle == 15


def test_checkpoints_are_made_on_the_way_and_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-50").mkdir()
    (tmp_path / "checkpoint-50" / "optimizer.pt").write_bytes(b"0" * 1000)
    (tmp_path / "notes.txt").write_bytes(b"0" * 10)
    assert project(tmp_path, "toy", "smollm2-135m").bundle == 10


@pytest.mark.parametrize("shape", [(0,), (576,), (4, 4, 4), ()], ids=str)
@pytest.mark.parametrize("part", ["lora_A.weight", "lora_B.weight", "lora_B.bias", "lora_magnitude_vector"])
def test_tensors_of_any_shape_have_a_size(part: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    name = f"base_model.model.model.layers.0.self_attn.q_proj.{part}"
    save_file({name: torch.zeros(shape)}, tmp_path / "adapter_model.safetensors")
    assert project(tmp_path, "toy", "smollm2-135m").adapter >= 0


@pytest.mark.slow
def test_the_reference_is_over_a_limit_only_where_one_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["grade", "reference", "--only", "ART-001", "ART-007"]
    assert cli.main(words) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "no size limit was given" in shown
    assert "million parameters with the adapter" in shown
    assert cli.main([*words, "--limit", "adapter=1kB"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "bytes of adapter" in shown
    assert "--limit adapter=1000 --only ART-007" in shown


@pytest.mark.parametrize("only", [["TOK-105"], ["GEN-104", "PRS-103"]])
def test_a_plan_without_a_check_is_an_error(only: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["grade", "reference", "--only", *only]) == 2
    assert "none of these checks applies" in capsys.readouterr().err
