"""The base is loaded without a dtype, as before an upgrade that changed the default."""

import dataclasses
from pathlib import Path
from typing import Any
from unittest import mock

from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference import models, sft
from sft_ref.reference.record import read_record

load = sft.load


def unguarded(*args: Any) -> Any:
    return dataclasses.replace(read_record(*args), dtypes={})  # type: ignore[type-var]


def broken_load(folder: Path) -> BaseLLM:
    with (
        mock.patch.object(models, "dtype_keyword", return_value={}),
        mock.patch.object(sft, "read_record", unguarded),
    ):
        return load(folder)


MUTANT = Mutant(
    id="P19",
    stage="load",
    checks=("LOD-005",),
    fault="no dtype is passed, and the library's default makes fp32 bf16 after an upgrade",
    source="trl#4770",
    patches={"sft_ref.reference.sft.load": broken_load},
)
