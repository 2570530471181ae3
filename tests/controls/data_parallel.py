"""Trained in DataParallel, which puts `module.` before the names of the adapter's tensors in memory."""

import torch
from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "data_parallel",
    "names in memory begin with `module.`, as a wrapper for several devices makes them",
    lambda: PlainLoop("data_parallel", convention=PLAIN, wrap=torch.nn.DataParallel),
)
