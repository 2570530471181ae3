"""A training that an exception ends without a word to its witness leaves no hook in the process."""

from __future__ import annotations

import gc

import witnessed
from torch.optim import optimizer

from sft_ref.witnessing.training.observer import TrainingObserver


def test_an_observer_that_nobody_ends_takes_its_hooks_with_it() -> None:
    gc.collect()
    before = set(optimizer._global_optimizer_pre_hooks), set(optimizer._global_optimizer_post_hooks)
    observer = TrainingObserver(witnessed.adapted_toy(), None, lambda faults: None)
    observer.begin()
    assert len(optimizer._global_optimizer_pre_hooks) == len(before[0]) + 1
    del observer
    gc.collect()
    assert (set(optimizer._global_optimizer_pre_hooks), set(optimizer._global_optimizer_post_hooks)) == before
