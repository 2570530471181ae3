"""Fingerprints, each a SHA-256, of what decides what an adapter does; and versions of packages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING

import torch

from .bases.find import find_base, fingerprint_base
from .prompt import format_example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def digest(value: object) -> str:
    """SHA-256 of a value that JSON can hold, as 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def fingerprint_prompt() -> str:
    """Changes when the training text would."""
    return digest([format_example(" How many? ", value) for value in (-0.5, 6.0, 1 / 3, 1e16)])


def fingerprint_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """Changes when a text of this task would be split otherwise, or end or be padded with another token."""
    example = format_example("How many MB are there per 6 G, or 7.5 km/h in 90 feet?", -1234567890.125)
    texts = [*example.values(), "".join(example.values()), "1e+16 <answer>NaN</answer>\n", " Ω ½"]
    special = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id]
    return digest([[tokenizer(text)["input_ids"] for text in texts], special, len(tokenizer)])


def fingerprint_adapter(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of tensors, whatever the order."""
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
    """Fingerprints of what must be the same when an adapter is loaded as when it was trained."""
    return {
        "base": fingerprint_base(find_base(base)),
        "tokenizer": fingerprint_tokenizer(tokenizer),
        "prompt": fingerprint_prompt(),
    }


def library_versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    return {name: metadata.version(name) for name in ("sft_ref", "torch", "transformers", "peft", "tokenizers")}
