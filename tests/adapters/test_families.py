"""An adapter that peft trains and saves is sound over every family, and is not once it is spoilt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import families
import pytest

from sft_ref.harness.core.verdict import Verdict

Bases = Callable[[str], Path]
Sound = Callable[[Path, Path], Verdict]
Broken = Callable[..., Verdict]


@pytest.mark.parametrize("family", families.FAMILIES)
def test_an_adapter_is_sound_and_one_that_lost_a_layer_is_not(
    family: str, bases: Bases, tmp_path: Path, assert_sound: Sound, assert_broken: Broken
) -> None:
    base = bases(family)
    folder = families.train(base, tmp_path / "adapter", target_modules=families.FAMILIES[family][2])
    assert_sound(folder, base)
    families.drop(folder, ".1.")
    assert_broken(folder, base, "ART-217", "every key of layer 1 is missing")


@pytest.mark.parametrize("family", ["gpt2", "qwen2", "falcon"])
def test_dora_is_sound_on_every_kind_of_layer_and_without_magnitudes_is_not(
    family: str, bases: Bases, tmp_path: Path, assert_sound: Sound, assert_broken: Broken
) -> None:
    base = bases(family)
    folder = families.train(base, tmp_path / "adapter", target_modules=families.FAMILIES[family][2], use_dora=True)
    assert_sound(folder, base)
    families.drop(folder, "magnitude")
    assert_broken(folder, base, "ART-214", "the configuration sets use_dora, but the file has no magnitude vectors")
