"""Garbage collection that passes over what exists already."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def frozen_heap() -> Iterator[None]:
    """Within it, the garbage collector looks at new objects alone.

    Trainer collects garbage before each training. Over all that torch, transformers and peft have imported this takes
    half a second, a quarter of the time of recording an implementation.
    """
    if gc.get_freeze_count():  # somebody else's, who would not expect it undone
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
