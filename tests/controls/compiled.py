"""The model is compiled in training and when it answers: in memory its names begin with `_orig_mod.`, in the file not.

It runs as it is, since the names alone matter here.
"""

from collections.abc import Callable
from typing import Any

import torch
from mutation import Control
from plain_loop import PLAIN, PlainLoop


def compiled(model: torch.nn.Module) -> Callable[..., Any]:
    torch.compiler.set_stance("force_eager")  # nothing else in this process compiles
    return torch.compile(model, backend="eager")


CONTROL = Control(
    "compiled",
    "the model is compiled, so that its names in memory are not those in the file",
    lambda: PlainLoop("compiled", convention=PLAIN, wrap=compiled, wrap_loaded=compiled),
)
