"""Trains the reference on a submission's training data: the same texts in the same batches at the same rates."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sft_ref.harness.core.training_examples import TrainingExample
from sft_ref.harness.instruments.losses import pad
from sft_ref.io.peft_config import read_peft_config
from sft_ref.reference.models import load_model
from sft_ref.reference.precision import POLICIES
from sft_ref.reference.tokens import IGNORE_INDEX

BETAS = (0.9, 0.999)
"""Betas of Adam, unless a training sets others."""
_CLIP = 1.0
"""Gradient norm to which gradients are clipped, as Trainer does by default."""


@dataclass(frozen=True)
class Packed:
    """Several texts packed in one row, with attention across their boundaries.

    Attributes:
        texts: texts in order.
        positions: position ids of all tokens.
    """

    texts: tuple[TrainingExample, ...]
    positions: tuple[int, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """Token ids of the whole row."""
        return tuple(itertools.chain.from_iterable(text.ids for text in self.texts))

    @property
    def labels(self) -> tuple[int, ...]:
        """Labels of the whole row."""
        return tuple(itertools.chain.from_iterable(text.labels for text in self.texts))


@dataclass(frozen=True)
class ReplayStep:
    """One optimizer step: learning rate, rows of each micro-batch, and betas of Adam."""

    rate: float
    batches: tuple[tuple[TrainingExample | Packed, ...], ...]
    betas: tuple[float, ...] = BETAS

    @property
    def texts(self) -> int:
        """Number of texts in the step."""
        return sum(len(row.texts) if isinstance(row, Packed) else 1 for batch in self.batches for row in batch)


def replay(steps: Sequence[ReplayStep], base: Path, adapter: Path, *, weight_decay: float = 0.0) -> Any:  # noqa: ANN401
    """Trains a PeftModel with the shape of a given adapter, with AdamW in fp32.

    Each step's loss is the mean over all its supervised tokens.
    """
    model = untrained_peft_model(base, adapter)
    model.train()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, weight_decay=weight_decay)
    for step in steps:
        due = sum(label != IGNORE_INDEX for batch in step.batches for row in batch for label in row.labels[1:])
        if not due:
            continue
        for group in optimizer.param_groups:
            group["lr"], group["betas"] = step.rate, step.betas
        for batch in step.batches:
            (_loss(model, batch) / due).backward()
        torch.nn.utils.clip_grad_norm_(trained, _CLIP)
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    return model


def untrained_peft_model(base: Path, adapter: Path) -> Any:  # noqa: ANN401
    """Returns the base model in fp32 with a blank adapter of the shape in a folder's configuration."""
    from peft import get_peft_model

    torch.manual_seed(0)
    config: Any = read_peft_config(adapter)
    config.inference_mode = False
    config.modules_to_save = None
    config.lora_dropout = 0.0
    model = get_peft_model(load_model(base, POLICIES["fp32"]), config)
    for name, weight in model.named_parameters():
        weight.requires_grad = "lora_" in name
    return model


def _loss(model: Any, rows: Sequence[TrainingExample | Packed]) -> torch.Tensor:  # noqa: ANN401
    """Sums the cross-entropy over supervised tokens."""
    ids, labels = pad([row.ids for row in rows], 0), pad([row.labels for row in rows], IGNORE_INDEX)
    mask = pad([(1,) * len(row.ids) for row in rows], 0)
    places = pad([row.positions if isinstance(row, Packed) else range(len(row.ids)) for row in rows], 0)
    # given a mask, no version of transformers takes restarting positions for attention boundaries
    logits = model(input_ids=ids, attention_mask=mask, position_ids=places, use_cache=False).logits[:, :-1]
    kept = labels[:, 1:] != IGNORE_INDEX
    return torch.nn.functional.cross_entropy(logits[kept].float(), labels[:, 1:][kept], reduction="sum")
