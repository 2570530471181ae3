"""fp16 weights overflow in the optimizer, and the log shows 0.0 in place of NaN."""

from pathlib import Path

import torch
from mutation import Mutant
from safetensors.torch import load_file
from transformers import TrainingArguments

from sft_ref.reference.precision import POLICIES


def filtering(**arguments: object) -> TrainingArguments:
    return TrainingArguments(**{**arguments, "logging_nan_inf_filter": True})  # type: ignore[arg-type]


def read_unguarded(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


MUTANT = Mutant(
    id="S6",
    stage="train",
    checks=("TRN-002", "TRN-003"),
    fault="weights are trained in fp16, they become NaN, and the logger filters that",
    source="course submission",
    patches={
        "sft_ref.reference.sft.default_policy": lambda device: POLICIES["fp16"],
        "sft_ref.reference.sft.check_can_train": lambda policy, device: None,
        "sft_ref.reference.training.TrainingArguments": filtering,
        "sft_ref.reference.guards.progress.PATIENCE": 1000,
        "sft_ref.reference.training.check_learned": lambda model: None,
        "sft_ref.reference.guards.adapter_files.read_tensors": read_unguarded,
    },
    retrain=True,
)
