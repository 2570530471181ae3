"""fp16 training: what a gradient scaler does on an overflow, what it refuses, and when training is given up."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel

import sft_ref
from sft_ref import BaseLLM, Settings
from sft_ref.errors import PrecisionError, TrainingError
from sft_ref.reference.adapter import add_adapter
from sft_ref.reference.loss import batch_loss
from sft_ref.reference.models import computing
from sft_ref.reference.precision import POLICIES, Policy, check_can_train
from sft_ref.reference.tokens import collate, tokenize_example


def step(model: PeftModel, llm: BaseLLM, scaler: torch.amp.GradScaler, *, overflow: bool) -> bool:
    """One optimizer step under the scaler; says whether it was taken."""
    batch = collate([tokenize_example(llm.tokenizer, "Convert 3 kg to g.", 3000.0)], llm.tokenizer.pad_token_id)
    batch = {key: value.to(llm.device) for key, value in batch.items()}
    trained = [tensor for tensor in model.parameters() if tensor.requires_grad]
    before = [tensor.detach().clone() for tensor in trained]
    optimizer = torch.optim.AdamW(trained, lr=1e-3)
    with computing(model, llm.policy):
        loss = batch_loss(model, batch)
    scaler.scale(loss * (torch.inf if overflow else 1)).backward()
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
    assert all(tensor.isfinite().all() for tensor in trained)
    return not all(torch.equal(one, other) for one, other in zip(before, trained, strict=True))


def test_an_overflow_costs_a_step_and_halves_the_scale_and_training_goes_on(device: torch.device) -> None:
    llm = BaseLLM("toy", policy=POLICIES["fp16-mixed"], device=device)
    model = add_adapter(llm.model, llm.policy, rank=4, alpha=8)
    scaler = torch.amp.GradScaler(device.type, init_scale=1024.0)
    assert step(model, llm, scaler, overflow=False)
    assert not step(model, llm, scaler, overflow=True)
    assert scaler.get_scale() == 512
    assert step(model, llm, scaler, overflow=False)


def test_fp16_weights_under_a_scaler_are_what_torch_refuses_and_so_do_we(device: torch.device) -> None:
    scaler = torch.amp.GradScaler(device.type, init_scale=2.0)
    weight = torch.nn.Parameter(torch.ones(3, dtype=torch.float16, device=device))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scaler.scale(weight.sum()).backward()
    with pytest.raises(ValueError, match="Attempting to unscale FP16 gradients"):
        scaler.step(optimizer)
    policy = Policy("mine", "float32", "float16", "float16", "a trial")
    with pytest.raises(PrecisionError, match=r"a gradient scaler .* refuses those of a float16 adapter"):
        check_can_train(policy, torch.device("cuda"))


@pytest.mark.slow
def test_fp16_throughout_never_takes_a_finite_step_and_is_given_up(
    tmp_path: Path, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adam's epsilon of 1e-8 is zero in fp16, and A's first gradient is zero as well: 0 / 0."""
    monkeypatch.setattr("sft_ref.reference.sft.check_can_train", lambda policy, device: None)
    with pytest.raises(TrainingError, match="20 optimizer steps in a row had no finite loss and gradient"):
        sft_ref.train(tmp_path / "a", base="toy", policy="fp16", settings=Settings(steps=40, batch_size=4))
    assert not list(tmp_path.iterdir())
