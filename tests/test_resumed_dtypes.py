"""A training that is resumed goes on in the dtypes of its policy."""

from pathlib import Path

import pytest
import torch

from sft_ref.harness.evidence.in_process.task import PROBES
from sft_ref.harness.recorders.in_process.reference import Reference
from sft_ref.reference.settings import Settings

SETTINGS = Settings(steps=4, batch_size=4, rank=4, alpha=8)


@pytest.mark.parametrize("policy", ["fp32", "bf16", "bf16-mixed"])
def test_a_resumed_training_gives_the_same_adapter_bit_for_bit(policy: str, tmp_path: Path) -> None:
    """Peft casts a 16-bit adapter to fp32 when Trainer loads a checkpoint."""
    reference = Reference(policy=policy)
    whole = reference.train(tmp_path / "whole", PROBES, SETTINGS)
    resumed = reference.train_interrupted(tmp_path / "resumed", PROBES, SETTINGS, after=3)
    assert resumed.dtypes == whole.dtypes
    assert resumed.adapter.keys() == whole.adapter.keys()
    for name, tensor in whole.adapter.items():
        assert torch.equal(resumed.adapter[name], tensor), name
