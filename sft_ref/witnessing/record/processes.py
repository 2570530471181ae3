"""Identifies the processes of a distributed training."""

from __future__ import annotations

from torch import distributed


def is_distributed() -> bool:
    """Whether several processes train together."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def is_first_process() -> bool:
    """Whether this process is the one that writes files."""
    return not is_distributed() or distributed.get_rank() == 0
