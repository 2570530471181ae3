"""How far the toy stays below fp16's largest number, and who is named where it does not."""

from __future__ import annotations

import pytest
import torch

from sft_ref import BaseLLM, format_prompt
from sft_ref.harness.instruments.module_outputs import first_not_finite, headroom, largest_outputs
from sft_ref.reference.precision import POLICIES

CULPRIT = "model.layers.1.mlp.down_proj"


def ask(llm: BaseLLM) -> dict[str, float]:
    with largest_outputs(llm.model) as outputs:
        llm.generate(format_prompt("Convert 3 kg to g."))
    return outputs


@pytest.mark.parametrize("name", POLICIES)
def test_the_toy_has_room_in_fp16(name: str, device: torch.device) -> None:
    outputs = ask(BaseLLM("toy", policy=POLICIES[name], device=device))
    assert first_not_finite(outputs) is None
    assert 0.1 < headroom(outputs)[1] < 0.5  # 0.28 as measured: an outlier of 18,000 in a down_proj is no toy


@pytest.mark.parametrize("name", POLICIES)
def test_an_overflow_is_foretold_in_any_precision_and_happens_in_fp16(name: str, device: torch.device) -> None:
    llm = BaseLLM("toy", policy=POLICIES[name], device=device)
    with torch.no_grad():
        llm.model.get_submodule(CULPRIT).weight.fill_(100.0).mul_(300.0)  # 30000: itself within fp16
    outputs = ask(llm)
    if llm.policy.computes == "float16":
        assert first_not_finite(outputs) == CULPRIT
    else:
        assert first_not_finite(outputs) is None
        assert headroom(outputs)[1] > 1
