"""Substitutes the CPU for CUDA, so that the submission's CUDA branch runs.

The submission's code sees CUDA as available; libraries see the truth. A device `cuda` resolves to the CPU everywhere,
with the CPU's abilities: autocast uses bfloat16, also in place of float16. A tensor reports that it is on the CPU.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

FACTORIES = (
    "arange as_tensor empty empty_like eye full full_like linspace load ones ones_like rand rand_like randint "
    "randint_like randn randn_like randperm tensor tril_indices triu_indices zeros zeros_like"
)
"""Functions of torch that take a device."""
METHODS = "new_empty new_full new_ones new_tensor new_zeros"
"""Methods of a tensor that take a device."""
_NAME = "the CPU in place of CUDA"
_MEMORY = 16 * 2**30
_NOTE = "submissions run on the CPU, and so did what this one does with CUDA"


class _Event:
    """A CUDA event that measures wall-clock time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.time = 0.0

    def record(self, *args: Any) -> None:
        self.time = time.perf_counter()

    def elapsed_time(self, other: _Event) -> float:
        return 1000 * (other.time - self.time)

    def synchronize(self) -> None:
        """Does nothing: no operation is pending."""

    wait = synchronize

    def query(self) -> bool:
        return True


ANSWERS: dict[str, Any] = {
    "is_available is_bf16_supported is_initialized": True,
    "current_device max_memory_allocated max_memory_reserved memory_allocated memory_reserved memory_summary": 0,
    "empty_cache init ipc_collect reset_max_memory_allocated reset_peak_memory_stats set_device synchronize": None,
    "device_count": 1,
    "get_device_capability": (8, 0),
    "get_device_name": _NAME,
    "get_device_properties": SimpleNamespace(
        name=_NAME, total_memory=_MEMORY, major=8, minor=0, multi_processor_count=1, is_integrated=False
    ),
    "mem_get_info": (_MEMORY, _MEMORY),
}
"""Functions of `torch.cuda` -> value that they return to the submission."""

REPLACEMENTS: dict[str, Any] = {
    "get_rng_state": lambda *args, **kwargs: torch.get_rng_state(),
    "set_rng_state": lambda state, *args, **kwargs: torch.set_rng_state(state),
    "stream": lambda stream=None: contextlib.nullcontext(),
    "current_stream": lambda *args, **kwargs: SimpleNamespace(synchronize=lambda: None),
    "device.__init__": lambda self, device: None,
    "device.__enter__": lambda self: None,
    "device.__exit__": lambda self, *args: False,
    "Event": _Event,
}
"""Parts of `torch.cuda` -> replacement for all callers."""


def is_cuda(value: object) -> bool:
    """Returns whether a value names a CUDA device."""
    if isinstance(value, torch.device):
        return value.type == "cuda"
    return isinstance(value, str) and (value == "cuda" or value.startswith("cuda:"))


def make_generator(original: Any) -> Any:
    """Returns a `torch.Generator` class for the CPU; instances of the original count as its instances."""

    class Kind(type(original)):  # type: ignore[misc]  # the metaclass of a class of torch
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, original)

    class Generator(original, metaclass=Kind):  # type: ignore[misc]  # a class of torch
        def __new__(cls, device: Any = "cpu") -> Any:
            return original("cpu" if is_cuda(device) else device)

    return Generator


class CudaOnCpu:
    """Replacements that call an original with the CPU in place of CUDA.

    Args:
        root: folder of the submission; the files in it see CUDA.
        note: records a note for the reader of the report.
    """

    def __init__(self, root: str, note: Callable[[str], None]) -> None:
        self.root, self.note = root, note

    def answer_with(self, value: Any) -> Callable[[Any], Any]:
        """Makes a function that returns `value` to the submission, and the original's result to libraries."""

        def make(original: Any) -> Any:
            @functools.wraps(original)
            def answer(*args: Any, **kwargs: Any) -> Any:
                if not sys._getframe(1).f_code.co_filename.startswith(self.root):  # noqa: SLF001
                    return original(*args, **kwargs)
                self.note(_NOTE)
                return value

            return answer

        return make

    def move(self, original: Any, *, numbers: bool = False) -> Callable[..., Any]:
        """Wraps a function to replace every CUDA device among its arguments by the CPU.

        Args:
            original: function that takes devices; it is called often.
            numbers: whether a number counts as a CUDA device, too.
        """

        def moved(value: Any) -> Any:
            if is_cuda(value) or (numbers and type(value) is int):
                self.note(_NOTE)
                return "cpu"
            return value

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            for name in ("device", "map_location", "torch_device"):
                if name in kwargs:
                    kwargs[name] = moved(kwargs[name])
            return original(*map(moved, args), **kwargs)

        return call

    def stay(self, original: Any, value: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Replaces `cuda()` of a tensor or module."""
        self.note(_NOTE)
        return value

    def make_scaler(self, init: Any, scaler: Any, /, device: Any = "cuda", *args: Any, **kwargs: Any) -> None:
        """Adapts `GradScaler(device)`."""
        if is_cuda(device):
            self.note(_NOTE)
            device = "cpu"
        init(scaler, device, *args, **kwargs)

    def make_autocast(
        self, init: Any, context: Any, /, device_type: Any, dtype: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        """Adapts `autocast(device_type, dtype)`: uses bfloat16 in place of float16."""
        if is_cuda(device_type):
            self.note(_NOTE)
            if dtype in (None, torch.float16) and kwargs.get("enabled", True):
                self.note("autocast to float16 ran in bfloat16, as the CPU has it")
            device_type, dtype = "cpu", torch.bfloat16 if dtype in (None, torch.float16) else dtype
        init(context, device_type, dtype, *args, **kwargs)

    def make_pipeline(self, init: Any, pipeline: Any, /, *args: Any, **kwargs: Any) -> None:
        """Adapts `Pipeline(device=...)`, where a number from 0 on is a CUDA device too."""
        device = kwargs.get("device")
        if is_cuda(device) or (type(device) is int and device >= 0):
            kwargs["device"] = "cpu"
        init(pipeline, *args, **kwargs)
