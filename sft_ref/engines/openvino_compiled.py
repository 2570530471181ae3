"""A model of OpenVINO on the CPU, token by token."""

from __future__ import annotations

import os
import sys
from typing import Any

import torch

from sft_ref.errors import EngineError


def properties(computes: str) -> dict[str, Any]:
    """Settings of OpenVINO's CPU device: torch's number of threads, and keys and values as exact as all the rest.

    By itself it keeps keys and values in 8 bits.

    Args:
        computes: in OpenVINO's word, "f32" or "bf16".

    Raises:
        EngineError: bf16 on one core, of which OpenVINO's attention dies with SIGFPE (openvino#33300, 2026.4).
    """
    threads = torch.get_num_threads()
    if computes == "bf16":
        if _cores() == 1:
            raise EngineError("the engine openvino computes bf16 on two cores or more; give --policy fp32")
        threads = max(2, threads)
    return {"INFERENCE_PRECISION_HINT": computes, "KV_CACHE_PRECISION": computes, "INFERENCE_NUM_THREADS": threads}


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


class Compiled:
    """A stateful model of OpenVINO, ready to compute.

    Args:
        model: an openvino.Model, or the path of one.
        settings: as `properties` gives them.
    """

    def __init__(self, model: Any, settings: dict[str, Any]) -> None:  # noqa: ANN401
        import openvino

        self._request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()

    def begin(self) -> None:
        """Forgets all keys and values."""
        self._request.reset_state()

    def go_on(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Logits of tokens behind those of former calls: fp32 of shape (rows, tokens, vocabulary).

        Args:
            ids: (rows, tokens).
            mask: (rows, former and new tokens).
            positions: as `ids`.
        """
        rows = torch.arange(len(ids), dtype=torch.int32)
        given = {"input_ids": ids, "attention_mask": mask, "position_ids": positions, "beam_idx": rows}
        found = self._request.infer({name: each.cpu().numpy() for name, each in given.items()})
        return torch.from_numpy(found["logits"].copy())
