"""Makes computations bit-identical: on CUDA by torch's switches; on a CPU a constant number of threads is enough."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@contextlib.contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Makes the same operation on the same inputs bit-identical within its context, on one device and version.

    On CUDA it sets deterministic algorithms (an operation without one is an error), the cuBLAS workspace, which must be
    set before the first matrix product of the process, full-precision sums in 16-bit products, and no search for the
    fastest convolution. TF32 belongs to the policy (`guards.surroundings.matmul_mode`). On a CPU nothing is needed:
    sums are split by the number of threads, which does not change.
    """
    if device.type != "cuda":
        yield
        return
    matmul, before = torch.backends.cuda.matmul, os.environ.get(WORKSPACE)
    switches = ("allow_fp16_reduced_precision_reduction", "allow_bf16_reduced_precision_reduction")
    was = {name: getattr(matmul, name) for name in switches}
    deterministic, benchmark = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    os.environ.setdefault(WORKSPACE, ":4096:8")
    for name in switches:
        setattr(matmul, name, False)
    torch.use_deterministic_algorithms(mode=True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = benchmark
        torch.use_deterministic_algorithms(mode=deterministic)
        for name, value in was.items():
            setattr(matmul, name, value)
        if before is None:
            os.environ.pop(WORKSPACE, None)
