"""Measures peak memory, if the machine reports it."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

import torch

_MIB = 2**20
_RESET = Path("/proc/self/clear_refs")  # proc(5): writing 5 resets the peak
_STATUS = Path("/proc/self/status")


class PeakMemory:
    """Measures the peak memory from its creation on, after returning unused memory to the system.

    On CUDA it measures torch's allocator, elsewhere the resident memory of the whole process.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
            self.start: float | None = torch.cuda.memory_allocated(device) / _MIB
            return
        try:
            ctypes.CDLL(None).malloc_trim(0)  # else memory that an earlier cell freed hides the peak of this one
            _RESET.write_text("5", encoding="ascii")
        except (OSError, AttributeError, TypeError):  # not Linux, not glibc, or in a sandbox
            self.start = None
        else:
            self.start = _resident("VmRSS")

    def mib(self) -> float | None:
        """Returns the peak above the memory at the start; None if the system does not report it."""
        if self.start is None:
            return None
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / _MIB - self.start
        return max(0.0, _resident("VmHWM") - self.start)


def _resident(name: str) -> float:
    line = next(line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


def weights_mib(model: torch.nn.Module) -> float:
    """Returns the size of the parameters and buffers of a model in MiB, each counted once."""
    tensors = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) / _MIB
