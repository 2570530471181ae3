"""Reads the files of an adapter folder, which may be damaged or untrusted.

Only safetensors are accepted: a pickle can run code when it is read.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sft_ref.errors import AdapterError
from sft_ref.io.base_config import empty_model
from sft_ref.io.foreign import foreign_files
from sft_ref.io.lora_config import CONFIG, PICKLE, WEIGHTS, AdapterConfig, base_of, read_table
from sft_ref.io.reading import UnreadableError, kind_of, shortened
from sft_ref.io.tensor_headers import FULL, read_header

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Reads the tensors of an adapter folder, by their names in the file.

    Raises:
        AdapterError: there is no adapter, or it is a pickle, damaged, empty, or has values that are not finite.
    """
    from safetensors.torch import load_file

    if kind_of(folder / CONFIG) != "file":
        raise AdapterError(f"{shortened(folder)}: holds no {CONFIG}; give a folder that `train` wrote")
    path = folder / WEIGHTS
    if kind_of(path) != "file":
        if kind_of(folder / PICKLE):
            raise AdapterError(f"{folder}: {PICKLE} is a pickle and is not read; save it as {WEIGHTS}")
        raise AdapterError(f"{folder}: holds no {WEIGHTS}; train again, or give another folder")
    try:
        headers = read_header(path)
    except UnreadableError as error:
        raise AdapterError(f"{path}: is damaged ({error}); train again, or copy it again") from error
    if odd := next((name for name, header in headers.items() if header.dtype not in FULL), None):
        raise AdapterError(
            f"{path}: {odd[:200]} is stored as {headers[odd].dtype[:20]}; save it as one of {', '.join(sorted(FULL))}"
        )
    with foreign_files(AdapterError, f"{path}: is damaged", "train again, or copy it again"):
        tensors = load_file(path)
    if not tensors:
        raise AdapterError(f"{path}: holds no tensors; train again, or copy it again")
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise AdapterError(f"{path}: {name} holds NaN or infinity; the training went wrong, train again")
    return tensors


def read_base_name(folder: Path) -> str | None:
    """Reads the name of the base from the adapter's own configuration.

    Raises:
        AdapterError: the configuration cannot be read, or is not a JSON object.
    """
    try:
        return base_of(read_table(folder))
    except UnreadableError as error:
        raise AdapterError(f"{folder}: {CONFIG} cannot be read ({error}); copy the folder again") from error


def fitting(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Turns errors of peft about an adapter that does not fit its base into an `AdapterError` within its context."""
    return foreign_files(AdapterError, f"{folder}: does not fit this base", "give the base it was trained on")


def check_fits(model: PreTrainedModel, config: AdapterConfig, folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Compares names and shapes of tensors with those that peft expects, before it allocates any.

    Raises:
        AdapterError: peft would change the base, or tensors are missing, unexpected, or of another shape.
    """
    from peft import PeftModelForCausalLM, get_peft_model_state_dict

    if config.changes_base:
        raise AdapterError(
            f"{folder}: init_lora_weights is {config.changes_base}, which changes the base on loading;"
            " save the adapter as plain LoRA (path_initial_model_for_weight_conversion of save_pretrained)"
        )
    with fitting(folder), torch.device("meta"):
        empty = PeftModelForCausalLM(empty_model(model.config, folder), config.for_peft(), "default")
        due = get_peft_model_state_dict(empty, save_embedding_layers=False)
        known = due | empty.state_dict()  # peft saves the base's embedding with an adapter of it
    for names, what in (
        (due.keys() - tensors.keys(), "lacks"),
        (tensors.keys() - known.keys(), "this base has no place for"),
    ):
        if names:
            raise AdapterError(
                f"{folder}: {what} {min(names)[:200]} ({len(names)} in all); give the base it was trained on"
            )
    for name, tensor in tensors.items():
        if tensor.shape != known[name].shape:
            raise AdapterError(
                f"{folder}: does not fit this base ({name} has the shape {list(tensor.shape)} in {WEIGHTS}; by"
                f" {CONFIG} and base it should be {list(known[name].shape)}); give the base it was trained on"
            )
