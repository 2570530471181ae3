"""Chooses rows for comparing models, and runs a model on them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch

from sft_ref.harness.instruments.losses import token_losses
from sft_ref.harness.instruments.memory.free_memory import free_memory
from sft_ref.reference.fingerprints import digest
from sft_ref.reference.guards.surroundings import matmul_mode, no_autocast
from sft_ref.reference.tokens import IGNORE_INDEX

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PROBES = 6
"""Number of recorded rows."""

POSITIONS = 8
"""Number of supervised tokens of a probe whose logits are recorded: the first and the last ones."""

TOP = 32
"""Number of logits that are recorded at a position: the largest of the trained model."""

LONGEST = 512
"""Number of tokens recorded of a row; the beginning of a longer row is cut off."""

_TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "Water boils at 100 degrees, and freezes at 0.",
    "How many metres are there in 3 kilometres? There are 3000.",
)
"""Probes that are used if training rows must not be stored, and the caller provides no texts."""

_FLOAT32 = 4


@dataclass(frozen=True)
class LabelledIds:
    """One row of a training batch, without padding; the label of an unsupervised token is -100."""

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def sha256(self) -> str:
        """SHA-256 of ids and labels."""
        return digest([self.input_ids, self.labels])


def choose_rows(rows: Sequence[LabelledIds]) -> list[LabelledIds]:
    """Chooses the rows to record as probes: distinct rows with a supervised token, those below `LONGEST` first."""
    usable = list(dict.fromkeys(row for row in map(_shortened, rows) if supervised_positions(row.labels)))
    return sorted(usable, key=lambda row: len(row.input_ids) == LONGEST)[:PROBES]


def held_out_rows(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[LabelledIds]:
    """Makes probes of texts, with every token supervised; uses built-in texts if the caller provides none."""
    rows = [tuple(tokenizer(text)["input_ids"]) for text in texts or _TEXTS]
    return choose_rows([LabelledIds(row, row) for row in rows])


def positions_of(row: LabelledIds) -> list[int]:
    """Returns the indices of the tokens whose prediction is recorded."""
    due = supervised_positions(row.labels)
    if len(due) <= POSITIONS:
        return due
    half = POSITIONS // 2
    return [*due[:half], *due[-half:]]


def supervised_positions(labels: Sequence[int]) -> list[int]:
    """Returns the indices of supervised tokens, except the first token, which is never predicted."""
    return [place for place, label in enumerate(labels) if place and label != IGNORE_INDEX]


def _shortened(row: LabelledIds) -> LabelledIds:
    return LabelledIds(row.input_ids[-LONGEST:], row.labels[-LONGEST:])


@dataclass(frozen=True)
class ProbeRun:
    """A model's logits on one probe, (tokens, vocabulary), in fp32 on the CPU, and the dtype of their computation."""

    logits: torch.Tensor
    dtype: torch.dtype

    def loss(self, labels: Sequence[int]) -> float:
        """Returns the mean loss of the supervised tokens, in nat."""
        due = torch.tensor([labels])
        losses = token_losses(self.logits[None], due)
        return float(losses.sum() / max(1, int((due[:, 1:] != IGNORE_INDEX).sum())))


def run_probe(model: Any, input_ids: Sequence[int]) -> ProbeRun:  # noqa: ANN401
    """Runs a model on one row, in evaluation mode; the caller sets autocast."""
    parameter = next(chain(model.parameters(), model.buffers()))
    ids = torch.tensor([list(input_ids)], device=parameter.device)
    dtypes: list[torch.dtype] = []
    head = model.get_output_embeddings()
    # wrappers around the head may cast its output, as accelerate does
    hook = head.register_forward_hook(lambda _module, _args, output: dtypes.append(output.dtype)) if head else None
    try:
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[0]
    finally:
        if hook is not None:
            hook.remove()
    return ProbeRun(logits.float().cpu(), dtypes[0] if dtypes else logits.dtype)


@contextlib.contextmanager
def as_trained(device: torch.device, autocast: str | None) -> Iterator[None]:
    """Makes forward passes compute with the autocast of training within the context."""
    if autocast is None:
        with no_autocast(device):
            yield
        return
    with torch.autocast(device.type, dtype=getattr(torch, autocast), cache_enabled=False):
        yield


def why_not_float32(model: torch.nn.Module) -> str:
    """Returns why a model cannot be computed in float32; empty if it can."""
    tensors = list(chain(model.parameters(), model.buffers()))
    if any(hasattr(tensor, "full_tensor") for tensor in tensors):
        return "the model is sharded over processes"
    if any(parameter.dtype in _CODES for parameter in model.parameters()):
        return "the base is quantised"
    needed = _FLOAT32 * sum(tensor.numel() for tensor in tensors if tensor.is_floating_point() and _is_short(tensor))
    if needed > free_memory() and tensors[0].device.type == "cpu":
        return f"it needs {needed / 1e9:.3g} GB more memory than is free"
    if tensors[0].device.type == "cuda" and needed > torch.cuda.mem_get_info(tensors[0].device)[0]:
        return f"it needs {needed / 1e9:.3g} GB more memory than is free"
    return ""


_CODES = (torch.uint8, torch.int8, torch.float8_e4m3fn, torch.float8_e5m2)
"""Dtypes of parameters that encode other numbers."""


def _is_short(tensor: torch.Tensor) -> bool:
    return tensor.dtype in (torch.float16, torch.bfloat16)


@contextlib.contextmanager
def in_float32(model: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """Makes a model compute in float32 with its present values within the context.

    Gradients must not be computed meanwhile.
    """
    before = [(tensor, tensor.data) for tensor in chain(model.parameters(), model.buffers()) if _is_short(tensor)]
    try:
        for tensor, data in before:
            tensor.data = data.float()
        with no_autocast(device), matmul_mode("highest"):
            yield
    finally:
        for tensor, data in before:
            tensor.data = data
