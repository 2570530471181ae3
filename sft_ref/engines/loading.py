"""Loads an adapter as the reference does, but with an engine that generates its answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import GenerationConfig

from sft_ref.errors import EngineError
from sft_ref.io.lora_config import read_lora
from sft_ref.reference import sft
from sft_ref.reference.bases.find import find_base
from sft_ref.reference.guards.adapter_files import read_tensors

from .openvino import EXPORTED, KINDS, OpenVinoModel, check_installed, exported

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from sft_ref.reference.base_llm import BaseLLM


def load_with_openvino(folder: str | Path, *, base: str | None = None, policy: str | None = None) -> BaseLLM:
    """Loads the adapter merged with its base, on the CPU; refuses whatever `sft.load` refuses.

    Args:
        folder: folder of the adapter.
        base: base model, as `sft.load` takes it.
        policy: policy that decides the compute precision; None takes the one of the training.

    Raises:
        AdapterError: `sft.load` raises it.
        EngineError: OpenVINO GenAI is not installed, or cannot run this model or precision.
    """
    check_installed()
    folder = Path(folder)
    llm = sft.load(folder, base=base, policy=policy)
    kind = next((each for each in KINDS.values() if each.coarsest == llm.policy.computes), None)
    if kind is None:
        raise EngineError(
            f"the engine openvino does not compute in {llm.policy.computes} on a CPU; give --policy fp32 or bf16"
        )

    def merge() -> PreTrainedModel:
        merged: PreTrainedModel = sft.load(folder, base=base, policy=EXPORTED).model.merge_and_unload()
        return merged.cpu()

    place = exported(find_base(llm.checkpoint), read_lora(folder), read_tensors(folder), kind.weights, merge)
    llm.model, llm.device = OpenVinoModel(place, kind, GenerationConfig()), torch.device("cpu")
    return llm
