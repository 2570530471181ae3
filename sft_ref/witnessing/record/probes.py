"""Rows on which models are compared, and how a model is run on them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch

from sft_ref.harness.instruments.free_memory import free_memory
from sft_ref.harness.instruments.losses import token_losses
from sft_ref.reference.fingerprints import digest
from sft_ref.reference.guards.surroundings import matmul_mode, no_autocast
from sft_ref.reference.tokens import IGNORE_INDEX

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PROBES = 6
"""Rows that are kept."""

POSITIONS = 8
"""Supervised tokens of a probe whose logits are kept: the first and the last ones."""

TOP = 32
"""Logits that are kept at a position: the largest of the trained model."""

LONGEST = 512
"""Tokens that are kept of a row; a longer one loses its beginning."""

_TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "Water boils at 100 degrees, and freezes at 0.",
    "How many metres are there in 3 kilometres? There are 3000.",
)
"""Probes where the rows of the training must not be stored, and the caller has none."""

_FLOAT32 = 4


@dataclass(frozen=True)
class LabelledIds:
    """One row of a training batch, without padding; labels are -100 where not supervised."""

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def sha256(self) -> str:
        """Of ids and labels."""
        return digest([self.input_ids, self.labels])


def choose_rows(rows: Sequence[LabelledIds]) -> list[LabelledIds]:
    """The rows that are kept as probes: different ones with a supervised token, those of usual length first."""
    usable = list(dict.fromkeys(row for row in map(_shortened, rows) if _supervised(row.labels)))
    return sorted(usable, key=lambda row: len(row.input_ids) == LONGEST)[:PROBES]


def held_out_rows(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[LabelledIds]:
    """Texts as probes, every token supervised; texts of ours where the caller has none."""
    rows = [tuple(tokenizer(text)["input_ids"]) for text in texts or _TEXTS]
    return choose_rows([LabelledIds(row, row) for row in rows])


def positions_of(row: LabelledIds) -> list[int]:
    """Indices of the tokens whose prediction is recorded."""
    due = _supervised(row.labels)
    if len(due) <= POSITIONS:
        return due
    half = POSITIONS // 2
    return [*due[:half], *due[-half:]]


def _supervised(labels: Sequence[int]) -> list[int]:
    return [place for place, label in enumerate(labels) if place and label != IGNORE_INDEX]


def _shortened(row: LabelledIds) -> LabelledIds:
    return LabelledIds(row.input_ids[-LONGEST:], row.labels[-LONGEST:])


@dataclass(frozen=True)
class ProbeRun:
    """Logits of a model on one probe: (tokens, vocabulary), in fp32 on the CPU; and the dtype they were computed in."""

    logits: torch.Tensor
    dtype: torch.dtype

    def loss(self, labels: Sequence[int]) -> float:
        """Mean loss of the supervised tokens, in nat."""
        due = torch.tensor([labels])
        losses = token_losses(self.logits[None], due)
        return float(losses.sum() / max(1, int((due[:, 1:] != IGNORE_INDEX).sum())))


def run_probe(model: Any, input_ids: Sequence[int]) -> ProbeRun:  # noqa: ANN401
    """Runs one row alone, in evaluation mode; the caller decides on autocast."""
    parameter = next(chain(model.parameters(), model.buffers()))
    ids = torch.tensor([list(input_ids)], device=parameter.device)
    dtypes: list[torch.dtype] = []
    head = model.get_output_embeddings()
    # what surrounds the head may cast its output, as accelerate does
    hook = head.register_forward_hook(lambda _module, _args, output: dtypes.append(output.dtype)) if head else None
    try:
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[0]
    finally:
        if hook is not None:
            hook.remove()
    return ProbeRun(logits.float().cpu(), dtypes[0] if dtypes else logits.dtype)


@contextlib.contextmanager
def answering(model: torch.nn.Module) -> Iterator[None]:
    """Context in which a model is in evaluation mode; each module has its own mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextlib.contextmanager
def as_trained(device: torch.device, autocast: str | None) -> Iterator[None]:
    """Context in which forwards compute as in training."""
    if autocast is None:
        with no_autocast(device):
            yield
        return
    with torch.autocast(device.type, dtype=getattr(torch, autocast), cache_enabled=False):
        yield


def why_not_float32(model: torch.nn.Module) -> str:
    """Why a model cannot be computed in float32; empty where it can."""
    tensors = list(chain(model.parameters(), model.buffers()))
    if any(hasattr(tensor, "full_tensor") for tensor in tensors):
        return "the model is sharded over processes"
    if any(parameter.dtype in _CODES for parameter in model.parameters()):
        return "the base is quantised"
    needed = _FLOAT32 * sum(tensor.numel() for tensor in tensors if tensor.is_floating_point() and _is_short(tensor))
    if needed > free_memory() and tensors[0].device.type == "cpu":
        return f"it takes {needed / 1e9:.3g} GB more memory than are free"
    if tensors[0].device.type == "cuda" and needed > torch.cuda.mem_get_info(tensors[0].device)[0]:
        return f"it takes {needed / 1e9:.3g} GB more memory than are free"
    return ""


_CODES = (torch.uint8, torch.int8, torch.float8_e4m3fn, torch.float8_e5m2)
"""Dtypes of parameters that stand for other numbers."""


def _is_short(tensor: torch.Tensor) -> bool:
    return tensor.dtype in (torch.float16, torch.bfloat16)


@contextlib.contextmanager
def in_float32(model: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """Context in which a model computes in float32 with the values that it holds; not while gradients are computed."""
    before = [(tensor, tensor.data) for tensor in chain(model.parameters(), model.buffers()) if _is_short(tensor)]
    try:
        for tensor, data in before:
            tensor.data = data.float()
        with no_autocast(device), matmul_mode("highest"):
            yield
    finally:
        for tensor, data in before:
            tensor.data = data
