"""Runs a model of OpenVINO on the CPU, token by token."""

from __future__ import annotations

import os
import sys
from typing import Any

import torch

from sft_ref.errors import EngineError


def properties(computes: str) -> dict[str, Any]:
    """Returns settings of OpenVINO's CPU device: torch's number of threads, keys and values in the compute precision.

    By default, OpenVINO keeps keys and values in 8 bits.

    Args:
        computes: compute precision in OpenVINO's notation, "f32" or "bf16".

    Raises:
        EngineError: bf16 on one core, where OpenVINO's attention dies with SIGFPE (openvino#33300, 2026.4).
    """
    threads = torch.get_num_threads()
    if computes == "bf16":
        if _cores() == 1:
            raise EngineError("the engine openvino computes bf16 only on two cores or more; give --policy fp32")
        threads = max(2, threads)
    return {"INFERENCE_PRECISION_HINT": computes, "KV_CACHE_PRECISION": computes, "INFERENCE_NUM_THREADS": threads}


def _cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


class Compiled:
    """A stateful model of OpenVINO, ready to compute.

    Args:
        model: an openvino.Model, or the file path of one.
        settings: settings of the device, as `properties` returns them.
    """

    def __init__(self, model: Any, settings: dict[str, Any]) -> None:  # noqa: ANN401
        import openvino

        self._request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()

    def begin(self) -> None:
        """Resets the keys and values of former tokens."""
        self._request.reset_state()

    def go_on(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Returns the logits of tokens that follow those of former calls: fp32 of shape (rows, tokens, vocabulary).

        Args:
            ids: ids of the new tokens, (rows, tokens).
            mask: attention mask, (rows, former and new tokens).
            positions: positions of the new tokens, with the shape of `ids`.
        """
        rows = torch.arange(len(ids), dtype=torch.int32)
        given = {"input_ids": ids, "attention_mask": mask, "position_ids": positions, "beam_idx": rows}
        found = self._request.infer({name: each.cpu().numpy() for name, each in given.items()})
        return torch.from_numpy(found["logits"].copy())
