"""Trainings of the toy that a witness observes: a plain loop of which tests change one part, and its data."""

from __future__ import annotations

import contextlib
import copy
import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

import sft_ref
from sft_ref.reference.bases.compat import dtype_keyword
from sft_ref.reference.bases.find import TOY
from sft_ref.reference.tokens import tokenize_example
from sft_ref.witnessing.training.witnessed import WitnessedTraining

Row = tuple[list[int], list[int]]
Batch = dict[str, torch.Tensor]

RANK = {"r": 4, "lora_alpha": 8}


@functools.cache
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(TOY)


TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def chat_tokenizer() -> Any:
    """Returns the toy's tokenizer with a chat template and a separate padding token."""
    own = copy.deepcopy(tokenizer())
    own.chat_template = TEMPLATE
    own.pad_token_id = 0
    return own


def toy_rows(number: int, first: int = 0) -> list[Row]:
    """Returns ids and labels of training rows, with the prompt masked."""
    examples = [tokenize_example(tokenizer(), *row) for row in sft_ref.split_rows("train")[first : first + number]]
    return [
        ([*each.input_ids], [*[-100] * (len(each.input_ids) - each.supervised), *each.input_ids[-each.supervised :]])
        for each in examples
    ]


def collate(rows: Sequence[Row], *, padding: int = 0, padding_label: int = -100) -> Batch:
    """Makes a batch, padded on the right."""
    longest = max(len(ids) for ids, _ in rows)
    return {
        "input_ids": torch.tensor([ids + [padding] * (longest - len(ids)) for ids, _ in rows]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows]),
        "labels": torch.tensor([labels + [padding_label] * (longest - len(labels)) for _, labels in rows]),
    }


def toy_batches(number: int, size: int = 4) -> list[Batch]:
    rows = toy_rows(number * size)
    return [collate(rows[at : at + size]) for at in range(0, len(rows), size)]


def load_toy(dtype: torch.dtype = torch.float32) -> Any:
    return copy.deepcopy(_loaded_toy(dtype))


@functools.cache
def _loaded_toy(dtype: torch.dtype) -> Any:
    return AutoModelForCausalLM.from_pretrained(TOY, **dtype_keyword(dtype))


def adapted_toy(base: Any = None, *, autocast_adapter_dtype: bool = True, seed: int = 0, **lora: Any) -> Any:
    """Returns the toy with a new adapter."""
    torch.manual_seed(seed)
    config = LoraConfig(task_type="CAUSAL_LM", **{"target_modules": "all-linear", **RANK, **lora})
    model = get_peft_model(base or load_toy(), config, autocast_adapter_dtype=autocast_adapter_dtype)
    model.train()
    return model


def adamw(model: Any, rate: float = 1e-3) -> torch.optim.Optimizer:
    return torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=rate)


def own_loss(model: Any, batch: Batch) -> torch.Tensor:
    loss: torch.Tensor = model(**batch).loss
    return loss


def train_loop(
    model: Any,
    batches: Sequence[Batch],
    optimizer: torch.optim.Optimizer,
    *,
    loss: Callable[[Any, Batch], torch.Tensor] = own_loss,
    accumulate: int = 1,
    autocast: torch.dtype | None = None,
    zeroes: bool = True,
    scheduler: Any = None,
) -> list[float]:
    """Runs an ordinary training loop, and returns the losses."""
    losses = []
    for number, batch in enumerate(batches, 1):
        with torch.autocast("cpu", dtype=autocast or torch.bfloat16, enabled=autocast is not None):
            value = loss(model, batch)
        (value / accumulate).backward()
        losses.append(value.item())
        if number % accumulate == 0:
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
            if zeroes:
                optimizer.zero_grad()
    return losses


@contextlib.contextmanager
def no_warnings() -> Iterator[None]:
    """Hides warnings within its context; the tests would treat them as errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def watch(
    folder: Path,
    *,
    model: Callable[[], Any] = adapted_toy,
    batches: Callable[[], Sequence[Batch]] = lambda: toy_batches(3),
    optimizer: Callable[[Any], torch.optim.Optimizer] = adamw,
    schedule: Callable[[torch.optim.Optimizer], Any] = lambda optimizer: None,
    witness: dict[str, Any] | None = None,
    **loop: Any,
) -> list[Any]:
    """Returns the faults that a witness finds in a loop with some parts replaced."""
    trained = model()
    stepping = optimizer(trained)
    scheduler = schedule(stepping)
    options = {"on_fault": "warn", "scheduler": scheduler, **(witness or {})}
    with (
        no_warnings(),
        mock.patch.object(WitnessedTraining, "_create_now", return_value=None),  # takes no record
        sft_ref.witness(trained, tokenizer(), folder, **options) as training,
        contextlib.suppress(RuntimeError),  # torch raises it if nothing requires a gradient
    ):
        train_loop(trained, batches(), stepping, scheduler=scheduler, **loop)
    return training.faults
