"""Fingerprints (SHA-256) of base, adapter, tokenizer and prompt format; and versions of packages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sft_ref.errors import AdapterError
from sft_ref.reference.bases.find import find_base, fingerprint_base

from .prompt import format_example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from .record import Record


def digest(value: object) -> str:
    """Returns the SHA-256 of a JSON value, as 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def fingerprint_prompt() -> str:
    """Returns a fingerprint that changes if the format of training texts changes."""
    return digest([format_example(" How many? ", value) for value in (-0.5, 6.0, 1 / 3, 1e16)])


def fingerprint_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """Returns a fingerprint that changes if texts of this task get other token ids, or another end or padding token."""
    example = format_example("How many MB are there per 6 G, or 7.5 km/h in 90 feet?", -1234567890.125)
    texts = [*example.values(), "".join(example.values()), "1e+16 <answer>NaN</answer>\n", " Ω ½"]
    special = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id]
    return digest([[tokenizer(text)["input_ids"] for text in texts], special, len(tokenizer)])


def fingerprint_adapter(tensors: Mapping[str, torch.Tensor]) -> str:
    """Returns the SHA-256 of the names, dtypes, shapes and bytes of tensors, independent of their order."""
    return digest(
        {
            name: [
                str(tensor.dtype),
                list(tensor.shape),
                hashlib.sha256(
                    tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
                ).hexdigest(),
            ]
            for name, tensor in tensors.items()
        }
    )


def fingerprint_parts(base: str, tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """Returns fingerprints of the parts that must be the same in training and loading an adapter."""
    return {
        "base": fingerprint_base(find_base(base)),
        "tokenizer": fingerprint_tokenizer(tokenizer),
        "prompt": fingerprint_prompt(),
    }


def check_same_parts(folder: Path, record: Record, base: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuses a base, tokenizer or prompt format other than that of the adapter's training.

    Raises:
        AdapterError: the fingerprint of a part differs.
    """
    for part, found in fingerprint_parts(base, tokenizer).items():
        trained = record.fingerprints.get(part)
        if trained != found:
            raise AdapterError(
                f"{folder}: was trained with another {part} (base {record.base!r}, {part} {str(trained)[:8]}) than the"
                f" one at hand (base {base!r}, {part} {found[:8]}); give the base it was trained on"
            )


def library_versions() -> dict[str, str]:
    """Returns the versions of the packages that determine numerical results."""
    return {name: metadata.version(name) for name in ("sft_ref", "torch", "transformers", "peft", "tokenizers")}
