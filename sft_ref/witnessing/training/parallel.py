"""Compares the batches of the processes of a distributed training."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import combinations

import torch
from torch import distributed

from sft_ref.witnessing.findings.observation import ObservedBatch
from sft_ref.witnessing.record.processes import is_distributed


def same_batches(batches: Sequence[ObservedBatch]) -> tuple[tuple[int, int], ...]:
    """Returns pairs of processes whose first batches are equal; every process must call this."""
    if not is_distributed() or not batches:
        return ()
    content = repr([row.input_ids for row in batches[0].rows]).encode()
    own = torch.tensor([zlib.crc32(content), len(content)])
    if distributed.get_backend() == "nccl":
        own = own.cuda()
    found = [torch.zeros_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(found, own)
    pairs = combinations(enumerate(each.tolist() for each in found), 2)
    return tuple((one, other) for (one, first), (other, second) in pairs if first == second)
