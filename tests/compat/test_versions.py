"""What changed between versions of transformers and peft, and that nothing of it reaches the reference.

Each test holds under each version; `nox -s compat` runs them under three.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest
import torch
from packaging.version import Version
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

import sft_ref
from sft_ref import Settings
from sft_ref.reference import sft
from sft_ref.reference.adapter import add_adapter, load_adapter
from sft_ref.reference.bases.compat import dtype_keyword
from sft_ref.reference.bases.find import TOY
from sft_ref.reference.guards.adapter_files import read_tensors
from sft_ref.reference.guards.progress import Step
from sft_ref.reference.models import load_model
from sft_ref.reference.precision import POLICIES
from sft_ref.sweep.measure import SHORT
from sft_ref.sweep.tolerances import FIRST_LOSSES

TRANSFORMERS = Version(metadata.version("transformers"))
RENAMED = Version("4.56")
NEW_DEFAULT = Version("5.0")


def adapter_dtypes(model: torch.nn.Module) -> set[torch.dtype]:
    return {tensor.dtype for name, tensor in model.named_parameters() if "lora_" in name}


def test_without_a_dtype_4_loads_in_fp32_and_5_in_what_the_checkpoint_names() -> None:
    model = AutoModelForCausalLM.from_pretrained(TOY)
    assert json.loads((TOY / "config.json").read_text())["torch_dtype"] == "bfloat16"
    assert model.dtype is (torch.bfloat16 if TRANSFORMERS >= NEW_DEFAULT else torch.float32)


@pytest.mark.parametrize("policy", POLICIES.values(), ids=lambda policy: policy.name)
def test_the_reference_loads_what_the_policy_stores_under_every_version(
    policy: sft_ref.reference.precision.Policy,
) -> None:
    assert load_model(TOY, policy).dtype is getattr(torch, policy.storage)


def test_the_keyword_dtype_came_with_4_56_and_torch_dtype_goes_on_working() -> None:
    assert AutoModelForCausalLM.from_pretrained(TOY, torch_dtype=torch.float16).dtype is torch.float16
    if TRANSFORMERS < RENAMED:
        with pytest.raises(TypeError, match="unexpected keyword argument 'dtype'"):
            AutoModelForCausalLM.from_pretrained(TOY, dtype=torch.float16)
        assert dtype_keyword(torch.float16) == {"torch_dtype": torch.float16}
    else:
        assert AutoModelForCausalLM.from_pretrained(TOY, dtype=torch.float16).dtype is torch.float16
        assert dtype_keyword(torch.float16) == {"dtype": torch.float16}


def test_peft_makes_a_16_bit_adapter_fp32_unless_told_not_to() -> None:
    """`autocast_adapter_dtype` is on by default in every version."""
    config = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear")
    assert adapter_dtypes(get_peft_model(load_model(TOY, POLICIES["bf16"]), config)) == {torch.float32}
    kept = get_peft_model(load_model(TOY, POLICIES["bf16"]), config, autocast_adapter_dtype=False)
    assert adapter_dtypes(kept) == {torch.bfloat16}


def test_peft_loads_a_bf16_adapter_as_fp32_and_the_reference_as_it_is_stored(tmp_path: Path) -> None:
    made = add_adapter(load_model(TOY, POLICIES["bf16"]), POLICIES["bf16"], rank=4, alpha=8)
    made.save_pretrained(str(tmp_path), save_embedding_layers=False)
    base = load_model(TOY, POLICIES["bf16"])
    assert adapter_dtypes(PeftModel.from_pretrained(base, str(tmp_path))) == {torch.float32}
    again = load_adapter(load_model(TOY, POLICIES["bf16"]), tmp_path, read_tensors(tmp_path))
    assert adapter_dtypes(again) == {torch.bfloat16}


class _EnoughError(Exception):
    pass


@pytest.mark.parametrize("policy", ["fp32", "bf16-mixed", "bf16"])
def test_the_first_losses_are_those_of_the_baseline_under_every_version(
    policy: str, tmp_path: Path, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sft, "find_device", lambda: torch.device("cpu"))
    found = json.loads((pytestconfig.rootpath / "tests" / "baselines" / "cpu-toy.json").read_text(encoding="utf-8"))
    golden = next(cell for cell in found["cells"] if cell["train"] == policy)["first losses"]
    losses: list[float] = []

    def note(step: Step) -> None:
        losses.append(step.loss)
        if len(losses) == len(golden):
            raise _EnoughError

    with pytest.raises(_EnoughError):
        sft_ref.train(tmp_path / "a", base="toy", policy=policy, settings=Settings(**found["settings"]), report=note)
    band = FIRST_LOSSES[SHORT[POLICIES[policy].computes]]
    for one, other in zip(golden, losses, strict=True):
        assert not band.moved(one, other), (golden, losses)
