"""The reference as an implementation; the only file of the harness that imports `sft`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast
from unittest import mock

import torch

from sft_ref import models, sft, tokens, training
from sft_ref.data import Row, Score
from sft_ref.settings import Settings

from .implementation import Answerer, Batch, Trained


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
