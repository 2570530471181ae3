"""The reference as an implementation; the only file of the harness that imports `sft`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast
from unittest import mock

import torch

from sft_ref import base_llm, models, precision, sft, tokens, training
from sft_ref.data import Row, Score
from sft_ref.settings import Settings

from .context import Context
from .implementation import Answerer, Batch, Trained
from .losses import row_losses
from .taught import Taught, rows_of
from .yardstick import Yardstick, lora_of


class Reference:
    """Calls the reference where a user would, and looks at the adapter when training ends.

    Everything is looked up in its module at the moment of use, so that a patched module is a patched reference.
    """

    claims_contract = True

    def __init__(self, base: str = "toy", policy: str | None = None, name: str = "reference") -> None:
        self.base, self.policy, self.name = base, policy, name

    def training_batch(self, rows: Sequence[Row]) -> Batch:
        """See `Implementation`."""
        tokenizer = models.load_tokenizer(models.find_base(self.base))
        examples = [tokens.tokenize_example(tokenizer, *row) for row in rows]
        batch = tokens.collate(examples, tokenizer.pad_token_id)
        return Batch(batch["input_ids"], batch["attention_mask"], batch["labels"])

    def train(self, folder: Path, rows: Sequence[Row], settings: Settings) -> Trained:
        """See `Implementation`."""
        from peft import get_peft_model_state_dict

        adapter: dict[str, torch.Tensor] = {}
        fit = training.fit

        def fit_and_look(model: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # passes on
            history = fit(model, *args, **kwargs)
            state = get_peft_model_state_dict(model, save_embedding_layers=False)
            adapter.update({name: tensor.detach().cpu().clone() for name, tensor in state.items()})
            return history

        with mock.patch.object(training, "fit", fit_and_look):
            history = sft.train(folder, base=self.base, rows=rows, policy=self.policy, settings=settings)
        return Trained(folder, adapter, tuple(step.loss for step in history))

    def load(self, folder: Path) -> Answerer:
        """See `Implementation`."""
        return cast("Answerer", sft.load(folder))  # overloads keep mypy from seeing it

    def test(self, answerer: Answerer, rows: Sequence[Row]) -> Score:
        """See `Implementation`."""
        return sft.ask(answerer, rows).score  # type: ignore[arg-type]  # the reference's own


def train_on(rows: Sequence[Taught], base: str, adapter: Path, settings: Settings) -> Any:  # noqa: ANN401  # a PeftModel
    """A model that the reference trains on given texts, with the LoRA of an adapter folder."""
    from peft import LoraConfig, get_peft_model

    tokenizer = models.load_tokenizer(models.find_base(base))
    policy = precision.default_policy(base_llm.find_device())
    torch.manual_seed(settings.seed)
    model = get_peft_model(models.load_model(models.find_base(base), policy), LoraConfig.from_pretrained(str(adapter)))
    for name, weight in model.named_parameters():  # a configuration that was saved is one for inference
        weight.requires_grad = "lora_" in name
    examples = [tokens.Example(row.ids, len(row.ids) - (row.begin or 0)) for row in rows]
    with tempfile.TemporaryDirectory() as checkpoints:
        training.fit(
            model,
            examples,
            pad_token_id=tokenizer.pad_token_id,
            policy=policy,
            settings=settings,
            checkpoints=Path(checkpoints),
            report=lambda step: None,
        )
    return model


def yardstick_of(trained: Trained) -> Yardstick:
    """The yardstick that the reference's own training makes."""
    context = Context(Reference(), trained.folder.parent, trained=trained)
    fresh = context.implementation.training_batch(context.fresh_rows)
    conditions = (rows_of(context.batch), context.settings, lora_of(trained.folder))
    return Yardstick(row_losses(context.answerer.model, fresh), conditions, train_on)
