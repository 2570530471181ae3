"""The dtype that is asked for is ignored; fp32 comes about since bf16 checkpoints are cast for the CPU's sake."""

import dataclasses
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference import base_llm, models, sft
from sft_ref.reference.precision import Policy
from sft_ref.reference.record import read_record

load, load_model = sft.load, models.load_model


def ignoring(folder: Path, policy: Policy) -> Any:
    with mock.patch.object(models, "dtype_keyword", return_value={"dtype": "auto"}):
        model: Any = load_model(folder, policy)
    return model.float() if model.dtype == torch.bfloat16 else model


def unguarded(*args: Any) -> Any:
    return dataclasses.replace(read_record(*args), dtypes={})  # type: ignore[type-var]


def broken_load(folder: Path) -> BaseLLM:
    with mock.patch.object(base_llm, "load_model", ignoring), mock.patch.object(sft, "read_record", unguarded):
        return load(folder)


MUTANT = Mutant(
    id="P20",
    stage="load",
    checks=("LOD-005",),
    fault="torch_dtype is accepted but ignored, and right only for checkpoints that name bfloat16",
    source="transformers#24774",
    patches={"sft_ref.reference.sft.load": broken_load},
)
