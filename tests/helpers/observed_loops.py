"""Training loops on the toy, sound and faulty, observed as the agent observes a submission's training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model

from sft_ref.harness.recorders.submission.agent.results import ResultWriter
from sft_ref.harness.recorders.submission.agent.time_limit import TimeLimit
from sft_ref.harness.recorders.submission.agent.training_recorder.recorder import TrainingRecorder
from sft_ref.reference.bases.find import TOY
from sft_ref.reference.models import load_model
from sft_ref.reference.precision import POLICIES

STEPS = 6


class Loop:
    """A plain training loop on the toy, observed as by the agent. Faults override its methods."""

    micro_batches = 1
    adapted = True

    def __init__(self, folder: Path) -> None:
        self.writer = ResultWriter(str(folder / "out"), str(folder), "nonce")
        self.recorder = TrainingRecorder({}, 768, 1.0, TimeLimit(1e9, self.writer.note), self.writer)
        torch.manual_seed(0)
        self.inner: Any = load_model(TOY, POLICIES["fp32"]).train()
        self.begin()

    def begin(self) -> None:
        """Adds an adapter to the model, and makes the optimizer."""
        get_peft_model(self.inner, LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
        trained = [p for p in self.inner.parameters() if p.requires_grad]
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(trained, lr=1e-3)

    def forward(self, _step: int, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Returns the loss of a batch."""
        loss: torch.Tensor = self.inner(**batch).loss
        return loss

    def learn(self, step: int, batch: dict[str, torch.Tensor]) -> None:
        """Runs a forward and a backward pass."""
        self.recorder.before_forward(self.inner, self.inner, batch, batch["labels"])
        self.recorder.steps.record_first_losses(self.inner.forward, self.inner, batch)
        self.forward(step, batch).backward()

    def end_step(self, _step: int) -> None:
        """Runs after each optimizer step."""
        self.optimizer.zero_grad()

    def run(self) -> list[dict[str, Any]]:
        """Trains, and returns the recorded steps."""
        torch.manual_seed(1)
        for step in range(STEPS):
            for _ in range(self.micro_batches):
                ids = torch.randint(3, 700, (2, 12))
                self.learn(step, {"input_ids": ids, "labels": ids})
            self.recorder.steps.before_step(self.optimizer)
            self.optimizer.step()
            self.recorder.after_step(self.optimizer)
            self.end_step(step)
        self.recorder.finish()
        return self.recorder.steps.recorded


class Accumulated(Loop):
    """Two forward passes per step; gradients are set to zero in place."""

    micro_batches = 2

    def end_step(self, _step: int) -> None:
        self.optimizer.zero_grad(set_to_none=False)


class ZeroedWithin(Accumulated):
    """Gradients are set to zero before each backward pass, so that only the last one of a step counts."""

    def learn(self, step: int, batch: dict[str, torch.Tensor]) -> None:
        self.optimizer.zero_grad()
        super().learn(step, batch)


class NeverZeroed(Loop):
    """Gradients of all steps accumulate."""

    def end_step(self, _step: int) -> None:
        return


class SharpnessAware(Loop):
    """Each step's gradient is computed at weights that are moved uphill, by the gradient of a first pass."""

    def learn(self, step: int, batch: dict[str, torch.Tensor]) -> None:
        super().learn(step, batch)
        trained = [weight for weight in self.inner.parameters() if weight.grad is not None]
        kept = [weight.detach().clone() for weight in trained]
        for weight in trained:
            weight.data += 0.1 * weight.grad
        self.optimizer.zero_grad()
        super().learn(step, batch)
        for weight, own in zip(trained, kept, strict=True):
            weight.data.copy_(own)


class Frozen(Loop):
    """The first layer is frozen after three steps."""

    def end_step(self, step: int) -> None:
        super().end_step(step)
        if step == 2:
            for name, weight in self.inner.named_parameters():
                if "layers.0." in name:
                    weight.requires_grad = False


class Unfrozen(Loop):
    """The first layer is frozen until three steps are done."""

    def begin(self) -> None:
        super().begin()
        self.first = [
            weight for name, weight in self.inner.named_parameters() if "layers.0." in name and ".lora_" in name
        ]
        for weight in self.first:
            weight.requires_grad = False

    def end_step(self, step: int) -> None:
        super().end_step(step)
        if step == 2:
            for weight in self.first:
                weight.requires_grad = True


class AutocastLost(Loop):
    """Autocast is on in the first half of the steps only."""

    def forward(self, step: int, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=step < STEPS // 2):
            return super().forward(step, batch)


class WithoutPeft(Loop):
    """No peft adapter: the optimizer has two matrices, and the whole base requires gradients."""

    def begin(self) -> None:
        layer = self.inner.model.layers[0]
        self.optimizer = torch.optim.SGD([layer.self_attn.q_proj.weight, layer.mlp.up_proj.weight], lr=1e-2)


class NoRate(Loop):
    """An optimizer that exposes no learning rate, like Adafactor with its relative step."""

    def run(self) -> list[dict[str, Any]]:
        real = self.optimizer.step
        self.optimizer.param_groups[0]["lr"] = None

        def step() -> None:
            self.optimizer.param_groups[0]["lr"] = 1e-3
            real()
            self.optimizer.param_groups[0]["lr"] = None

        self.optimizer.step = step  # type: ignore[method-assign,assignment]
        return super().run()


class TwoModels(Loop):
    """A second model is trained after the first, as in a search for a learning rate."""

    def run(self) -> list[dict[str, Any]]:
        super().run()
        self.inner = load_model(TOY, POLICIES["fp32"]).train()
        self.begin()
        return super().run()


class FromAnotherBase(Loop):
    """Training starts from weights other than the base's."""

    def begin(self) -> None:
        super().begin()
        self.inner.lm_head.weight.data *= 1.5


class FromAnotherAdapter(Loop):
    """Training continues from an adapter that is not zero."""

    def begin(self) -> None:
        super().begin()
        for name, weight in self.inner.named_parameters():
            if "lora_B" in name:
                weight.data += 0.1
