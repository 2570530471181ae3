"""The CPU in place of CUDA, where there is none: the submission's own branch for CUDA runs.

To the code of the submission CUDA is there; libraries are told the truth. A device `cuda` is the CPU wherever it is
asked for, with what the CPU has: bfloat16 under autocast, also in place of float16, which is ten times as slow.
A tensor or model says that it is on the CPU.
"""

import contextlib
import functools
import sys
import time
import types

_NOTE = "CUDA is not here: what the submission does with CUDA ran on the CPU"
_FACTORIES = (
    *("arange", "as_tensor", "empty", "empty_like", "eye", "full", "full_like", "linspace", "load", "ones"),
    *(
        "ones_like",
        "rand",
        "rand_like",
        "randint",
        "randint_like",
        "randn",
        "randn_like",
        "randperm",
        "tensor",
        "tril_indices",
    ),
    *("triu_indices", "zeros", "zeros_like"),
)
_METHODS = ("new_empty", "new_full", "new_ones", "new_tensor", "new_zeros")
_NAME = "the CPU in place of CUDA"


def is_cuda(value):
    """Whether a value names a CUDA device."""
    import torch

    if isinstance(value, torch.device):
        return value.type == "cuda"
    return isinstance(value, str) and (value == "cuda" or value.startswith("cuda:"))


def install(root, note):
    """Maps CUDA to the CPU for the files below `root`; does nothing where there is CUDA."""
    import torch
    import torch.utils._device

    if torch.cuda.is_available():
        return
    contexts = torch.utils._device  # noqa: SLF001
    contexts._device_constructors()  # noqa: SLF001  # kept: `with torch.device(...)` knows factories as they are now
    _answer(root, note)
    move = functools.partial(_map, note=note)
    for owner in (torch.Tensor, torch.nn.Module):
        owner.to = move(owner.to, numbers=True)
        owner.cuda = _stay(note)
    torch.Tensor.pin_memory = lambda self, *args, **kwargs: self
    torch.nn.Module.to_empty = move(torch.nn.Module.to_empty)
    for owner, names in ((torch, _FACTORIES), (torch.Tensor, _METHODS)):
        for name in names:
            setattr(owner, name, move(getattr(owner, name)))
    _replace_init(contexts.DeviceContext, move)
    _replace_init(torch.amp.grad_scaler.GradScaler, lambda init: _scaler(init, note))
    _replace_init(torch.amp.autocast_mode.autocast, lambda init: _autocast(init, note))
    torch.Generator = _generator(torch.Generator)
    _libraries(move)


def _map(function, note, *, numbers=False):
    """The function with the CPU in place of every CUDA device among its arguments; of numbers too where they may be."""

    def mapped(value):
        if is_cuda(value) or (numbers and type(value) is int):
            note(_NOTE)
            return "cpu"
        return value

    @functools.wraps(function)
    def call(*args, **kwargs):
        for name in ("device", "map_location", "torch_device"):
            if name in kwargs:
                value = kwargs[name]
                kwargs[name] = mapped(0 if numbers and type(value) is int else value)
        return function(*map(mapped, args), **kwargs)

    return call


def _replace_init(owner, change):
    owner.__init__ = change(owner.__init__)


def _stay(note):
    def cuda(self, *args, **kwargs):
        note(_NOTE)
        return self

    return cuda


def _answer(root, note):
    """What `torch.cuda` says of itself, to the submission alone."""
    import torch

    memory = 16 * 2**30
    properties = types.SimpleNamespace(
        name=_NAME, total_memory=memory, major=8, minor=0, multi_processor_count=1, is_integrated=False
    )
    answers = {
        **dict.fromkeys(("is_available", "is_bf16_supported", "is_initialized"), True),
        **dict.fromkeys(("current_device", "max_memory_allocated", "max_memory_reserved", "memory_allocated"), 0),
        **dict.fromkeys(("empty_cache", "init", "ipc_collect", "reset_max_memory_allocated"), None),
        **dict.fromkeys(("reset_peak_memory_stats", "set_device", "synchronize"), None),
        **dict.fromkeys(("memory_summary", "memory_reserved"), 0),
        "device_count": 1,
        "get_device_capability": (8, 0),
        "get_device_name": _NAME,
        "get_device_properties": properties,
        "mem_get_info": (memory, memory),
    }

    def wrap(name, own, value):
        @functools.wraps(own)
        def answer(*args, **kwargs):
            if not sys._getframe(1).f_code.co_filename.startswith(root):  # noqa: SLF001
                return own(*args, **kwargs)
            note(_NOTE)
            return value

        setattr(torch.cuda, name, answer)

    for name, value in answers.items():
        if hasattr(torch.cuda, name):
            wrap(name, getattr(torch.cuda, name), value)
    # nobody uses these where there is no CUDA, so that libraries need no other answer
    torch.cuda.get_rng_state = lambda *args, **kwargs: torch.get_rng_state()
    torch.cuda.set_rng_state = lambda state, *args, **kwargs: torch.set_rng_state(state)
    torch.cuda.stream = lambda stream=None: contextlib.nullcontext()
    torch.cuda.current_stream = lambda *args, **kwargs: types.SimpleNamespace(synchronize=lambda: None)
    torch.cuda.device.__init__ = lambda self, device: None
    torch.cuda.device.__enter__ = lambda self: None
    torch.cuda.device.__exit__ = lambda self, *args: False
    torch.cuda.Event = _Event


class _Event:
    """A CUDA event by the clock."""

    def __init__(self, *args, **kwargs):
        self.time = 0.0

    def record(self, *args):
        self.time = time.perf_counter()

    def elapsed_time(self, other):
        return 1000 * (other.time - self.time)

    def synchronize(self):
        """Nothing is under way."""

    wait = synchronize

    def query(self):
        return True


def _scaler(init, note):
    @functools.wraps(init)
    def scaler(self, device="cuda", *args, **kwargs):
        if is_cuda(device):
            note(_NOTE)
            device = "cpu"
        init(self, device, *args, **kwargs)

    return scaler


def _autocast(init, note):
    import torch

    @functools.wraps(init)
    def autocast(self, device_type, dtype=None, *args, **kwargs):
        if is_cuda(device_type):
            note(_NOTE)
            if dtype in (None, torch.float16) and kwargs.get("enabled", True):
                note("autocast to float16 ran in bfloat16, as the CPU has it")
            device_type, dtype = "cpu", torch.bfloat16 if dtype in (None, torch.float16) else dtype
        init(self, device_type, dtype, *args, **kwargs)

    return autocast


def _generator(own):
    """`torch.Generator` on the CPU; what is one stays one."""

    class Kind(type(own)):
        def __instancecheck__(cls, value):
            return isinstance(value, own)

    class Generator(own, metaclass=Kind):
        def __new__(cls, device="cpu"):
            return own("cpu" if is_cuda(device) else device)

    return Generator


def _libraries(move):
    """Places where libraries take a device and hand it on to what is compiled."""
    import peft
    import safetensors.torch
    import transformers

    safetensors.torch.load_file = move(safetensors.torch.load_file)
    peft.PeftModel.from_pretrained = classmethod(move(peft.PeftModel.from_pretrained.__func__))
    start = transformers.Pipeline.__init__

    @functools.wraps(start)
    def init(self, *args, **kwargs):
        device = kwargs.get("device")
        if is_cuda(device) or (type(device) is int and device >= 0):
            kwargs["device"] = "cpu"
        start(self, *args, **kwargs)

    transformers.Pipeline.__init__ = init
