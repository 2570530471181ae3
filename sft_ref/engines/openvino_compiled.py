"""A model of OpenVINO on the CPU, token by token."""

from __future__ import annotations

from typing import Any

import torch


def properties(computes: str) -> dict[str, Any]:
    """Settings of OpenVINO's CPU device: torch's number of threads, and keys and values as exact as all the rest.

    By itself it keeps keys and values in 8 bits.
    """
    return {
        "INFERENCE_PRECISION_HINT": computes,
        "KV_CACHE_PRECISION": computes,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }


class Compiled:
    """A stateful model of OpenVINO, ready to compute.

    Args:
        model: an openvino.Model, or the path of one.
        computes: in OpenVINO's word.
    """

    def __init__(self, model: Any, computes: str) -> None:  # noqa: ANN401
        import openvino

        self._request = openvino.Core().compile_model(model, "CPU", properties(computes)).create_infer_request()

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
        given = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
        rows = torch.arange(len(ids), dtype=torch.int32)
        found = self._request.infer({**{name: each.numpy() for name, each in given.items()}, "beam_idx": rows.numpy()})
        return torch.from_numpy(found["logits"].copy())
