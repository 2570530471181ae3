"""One of two processes that train together over gloo, with and without a witness; prints the results."""

from __future__ import annotations

import contextlib
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import witnessed
from torch import distributed
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import sft_ref


def batches(rank: int) -> list[witnessed.Batch]:
    """Returns every other batch."""
    return witnessed.toy_batches(8)[rank::2]


def adapter(model: Any) -> dict[str, torch.Tensor]:
    return {
        name: each.full_tensor() if hasattr(each, "full_tensor") else each.detach().clone()
        for name, each in model.named_parameters()
        if "lora_" in name
    }


def trained(rank: int, folder: Path | None, kind: str, *, same: bool = False) -> tuple[dict[str, torch.Tensor], Any]:
    model = witnessed.adapted_toy()
    wrapped = model
    if kind == "ddp":
        wrapped = DistributedDataParallel(model)
    elif kind == "fsdp":
        for layer in model.get_base_model().model.layers:
            fully_shard(layer)
        fully_shard(model)
    watched = sft_ref.witness(model, witnessed.tokenizer(), folder) if folder else contextlib.nullcontext()
    with watched as training:
        witnessed.train_loop(wrapped, batches(0 if same else rank), witnessed.adamw(model))
    return adapter(model), training


def with_adapter(tensors: dict[str, torch.Tensor]) -> Any:
    """Loads the toy with an adapter, in this process only."""
    model = witnessed.adapted_toy()
    model.load_state_dict(tensors, strict=False)
    return model.eval()


def main(rank: int, folder: Path) -> None:
    warnings.simplefilter("ignore")
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    kept = []
    for kind in ("ddp", "fsdp"):
        own, _ = trained(rank, None, kind)
        watched, training = trained(rank, folder / kind, kind)
        assert training.faults == [], training.faults
        kept.append((kind, watched))
        print(kind, "same" if all(torch.equal(own[name], each) for name, each in watched.items()) else "differs")
    _, training = trained(rank, folder / "same", "ddp", same=True)
    print("told" if any("same first batch" in str(each) for each in training.faults) else training.faults)
    distributed.destroy_process_group()
    if rank == 0:
        results = [
            sft_ref.verify(with_adapter(watched), witnessed.tokenizer(), folder / kind) for kind, watched in kept
        ]
        print("verified" if all(each.ok for each in results) else results)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
