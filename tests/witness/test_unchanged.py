"""A training with a witness comes to the same, bit for bit, as one without."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import witnessed

import sft_ref

LOOPS: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulated": {"accumulate": 2},
    "autocast": {"autocast": torch.bfloat16},
    "checkpointed": {},
}


def trained(folder: Path | None, **loop: Any) -> tuple[dict[str, torch.Tensor], list[float], torch.Tensor]:
    """Adapter, losses and the state of the random numbers after a training with dropout, saved in its middle."""
    checkpointed = loop.pop("checkpointed", False)
    model = witnessed.adapted_toy(lora_dropout=0.1)
    if checkpointed:
        with witnessed.no_warnings():
            model.gradient_checkpointing_enable()
    optimizer = witnessed.adamw(model)
    batches = witnessed.toy_batches(4, 2)
    watched = sft_ref.witness(model, witnessed.tokenizer(), folder) if folder else contextlib.nullcontext()
    torch.manual_seed(4)
    with watched:
        losses = witnessed.train_loop(model, batches[:2], optimizer, **loop)
        if folder:
            model.save_pretrained(str(folder / "checkpoint"))
        losses += witnessed.train_loop(model, batches[2:], optimizer, **loop)
    return {name: each.clone() for name, each in model.state_dict().items()}, losses, torch.get_rng_state()


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_comes_to_the_same(name: str, tmp_path: Path) -> None:
    options = LOOPS[name] | ({"checkpointed": True} if name == "checkpointed" else {})
    (own, losses, state), (watched, others, after) = trained(None, **options), trained(tmp_path, **options)
    assert losses == others
    assert all(torch.equal(each, watched[name]) for name, each in own.items())
    assert torch.equal(state, after)


@pytest.mark.slow
def test_two_processes_come_to_the_same(tmp_path: Path) -> None:
    """DistributedDataParallel, and FSDP2; and processes that see the same batch are told of."""
    script = Path(witnessed.__file__).with_name("witnessed_processes.py")
    others = [
        subprocess.Popen([sys.executable, script, str(rank), str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    shown = [each.communicate(timeout=500)[0] for each in others]
    assert [each.returncode for each in others] == [0, 0], shown
    assert shown[0].split() == ["ddp", "same", "fsdp", "same", "told", "verified"]
