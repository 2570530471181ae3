"""Loads a base in the storage dtype of a policy, and computes with it in the compute dtype.

Independent of adapters and of the purpose of the model.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from sft_ref.errors import BaseModelError
from sft_ref.io.base_config import check_sizes, read_config, refuse_tokenizer_code
from sft_ref.io.foreign import foreign_files
from sft_ref.reference.bases.checks import check_weights
from sft_ref.reference.bases.compat import dtype_keyword
from sft_ref.reference.fast.casts import frozen_weights_cast
from sft_ref.reference.guards.surroundings import check_defaults, matmul_mode, no_autocast

from .precision import Policy

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_model(folder: Path, policy: Policy) -> PreTrainedModel:
    """Loads the base in the policy's storage dtype, regardless of the library's default and the checkpoint's dtype.

    Raises:
        BaseModelError: the folder contains no causal language model in safetensors, or weights are missing.
    """
    from transformers import AutoModelForCausalLM

    headers = check_sizes(read_config(folder), folder)
    with foreign_files(BaseModelError, f"base {folder}: cannot be loaded"):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            attn_implementation=policy.attention,
            **dtype_keyword(getattr(torch, policy.storage)),
        )
    model, loading = loaded
    check_weights(model, loading["missing_keys"], headers, folder)
    return cast("PreTrainedModel", model)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Loads the base's tokenizer; if it has no padding token, the end-of-sequence token is used for padding.

    Raises:
        BaseModelError: the folder contains no tokenizer, or one without an end-of-sequence token.
    """
    from transformers import AutoTokenizer

    refuse_tokenizer_code(folder)
    with foreign_files(BaseModelError, f"base {folder}: its tokenizer cannot be loaded"):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        eos_token_id = tokenizer.eos_token_id
    if eos_token_id is None:
        raise BaseModelError(f"base {folder}: its tokenizer has no end-of-sequence token to stop at")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


@contextlib.contextmanager
def computing(model: torch.nn.Module, policy: Policy) -> Iterator[None]:
    """Makes forward passes compute by the policy within its context, regardless of the calling program's settings.

    Not for training: it disables autocast's cache of casts, which would become stale if it outlived an optimizer step.

    Raises:
        PrecisionError: `guards.surroundings.check_defaults` raises it.
    """
    check_defaults()
    device = next(model.parameters()).device
    autocast: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
    if policy.compute:
        autocast = torch.autocast(device.type, dtype=getattr(torch, policy.compute), cache_enabled=False)
    with no_autocast(device), matmul_mode(policy.matmul), frozen_weights_cast(model, policy.compute), autocast:
        yield
