"""Makes a fine-tune by transformers' Trainer an implementation of the protocol, given the function that makes it.

With pytest::

    def make_trainer(folder, rows, settings):
        model = get_peft_model(AutoModelForCausalLM.from_pretrained("my_base"), LoraConfig(target_modules="all-linear"))
        arguments = TrainingArguments(str(folder), max_steps=settings.steps, learning_rate=2e-4)
        return Trainer(model, arguments, train_dataset=tokenized(rows), data_collator=collator)

    MINE = TrainerImplementation(make_trainer, "my_base", prompt=lambda tokenizer, question: f"Q: {question} A:")

    @pytest.mark.parametrize("check", checks_for(MINE, rows=ROWS), ids=str)
    def test_contract(check):
        check()
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sft_ref.errors import TrainingError
from sft_ref.harness.core.implementation import Batch, TaskRow, TrainingResult
from sft_ref.harness.instruments.losses import forward
from sft_ref.harness.instruments.model_state import changed_parameters, fingerprint_base_parameters, look
from sft_ref.io.base_config import TOKENIZER_CONFIG
from sft_ref.reference.bases.compat import dtype_keyword
from sft_ref.reference.bases.find import find_base
from sft_ref.reference.data import Score
from sft_ref.reference.precision import find_device
from sft_ref.reference.settings import Settings

from .answerer import GreedyAnswerer, MakePrompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Trainer

MakeTrainer = Callable[[Path, Sequence[TaskRow], Settings], "Trainer"]
"""Folder, rows and settings -> a Trainer that has not started."""


class TrainerImplementation:
    """A fine-tune by a Trainer; see the protocol `Implementation`.

    Args:
        make_trainer: function that makes a Trainer on rows: its model has a LoRA adapter, and its dataset has a row for
            each of the rows, in their order. Each examined training batch makes a new Trainer.
        base: name or folder of the base model.
        prompt: tokenizer and question -> prompt.
        load: adapter folder -> the model in evaluation mode and its tokenizer. By default the base in the dtype of
            training, with the adapter as peft loads it.
        parse: completion -> answer: a number, or a text if answers are texts. By default the completion, stripped.
        test: answerer and rows -> the score that your own evaluation reports; without it, checks of the reported score
            are skipped.
        max_new_tokens: largest number of tokens of a completion.
        add_special_tokens: whether the tokenizer adds its special tokens to prompts.
        name: name shown in results.
        claims: parts of the contract that apply to this implementation, as `checks_for` takes them.
    """

    claims_contract = False

    def __init__(
        self,
        make_trainer: MakeTrainer,
        base: str,
        *,
        prompt: MakePrompt,
        load: Callable[[Path], tuple[Any, PreTrainedTokenizerBase]] | None = None,
        parse: Callable[[str], Any] = str.strip,
        test: Callable[[GreedyAnswerer, Sequence[TaskRow]], Score] | None = None,
        max_new_tokens: int = 128,
        add_special_tokens: bool = True,
        name: str = "trainer",
        claims: tuple[str, ...] = (),
    ) -> None:
        self.base, self.name, self.claims = base, name, claims
        self.test: Any = test  # None if no score is reported
        self._make, self._load = make_trainer, load or self._load_by_peft
        self._answerer = functools.partial(
            GreedyAnswerer,
            prompt=prompt,
            parse=parse,
            max_new_tokens=max_new_tokens,
            add_special_tokens=add_special_tokens,
        )
        self._dtype: torch.dtype | None = None

    def training_batch(self, rows: Sequence[TaskRow]) -> Batch:
        """Returns the batch that the Trainer's own data loader makes from its dataset.

        Raises:
            TrainingError: the dataset has another number of rows, or the batch lacks labels.
        """
        with tempfile.TemporaryDirectory() as folder:
            trainer: Any = self._make(Path(folder), rows, Settings())
            arguments = trainer.args
            arguments.per_device_eval_batch_size, arguments.dataloader_drop_last = len(rows), False
            [found] = trainer.get_test_dataloader(trainer.train_dataset)
        ids, labels = found["input_ids"].cpu(), found.get("labels")
        if len(ids) != len(rows) or labels is None:
            raise TrainingError(
                f"the Trainer makes {len(ids)} rows from {len(rows)}, or no labels; turn packing off, keep every row"
            )
        mask = found.get("attention_mask", torch.ones_like(ids)).cpu()
        return Batch(ids, mask, labels.cpu())

    def train(self, folder: Path, rows: Sequence[TaskRow], settings: Settings) -> TrainingResult:
        """Trains, inspects the model in memory, and saves it with `Trainer.save_model`."""
        trainer = self._make(folder, rows, settings)
        arguments: Any = trainer.args
        arguments.logging_strategy, arguments.logging_steps = "steps", 1
        model: Any = trainer.model
        before = fingerprint_base_parameters(model)
        self._dtype = next(tensor.dtype for name, tensor in model.named_parameters() if "lora_" not in name)
        trainer.train()
        model = trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        trainer.save_model(str(folder))
        cross_entropy = getattr(arguments, "loss_type", "nll") == "nll" and trainer.compute_loss_func is None
        return TrainingResult(
            folder,
            losses=tuple(float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry),
            settings=replace(
                settings,
                steps=trainer.state.max_steps,
                batch_size=arguments.train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size,
                learning_rate=arguments.learning_rate,
                seed=arguments.seed,
            ),
            changed=changed_parameters(model, before),
            forward=functools.partial(forward, model),
            label_smoothing=arguments.label_smoothing_factor if cross_entropy else None,
            **look(model),
        )

    def load(self, folder: Path) -> GreedyAnswerer:
        """Loads the adapter that `train` saved."""
        model, tokenizer = self._load(folder)
        return self._answerer(model, tokenizer)

    def _load_by_peft(self, folder: Path) -> tuple[Any, PreTrainedTokenizerBase]:
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer

        path = find_base(self.base)
        base = AutoModelForCausalLM.from_pretrained(path, **dtype_keyword(self._dtype or torch.float32))
        model = PeftModel.from_pretrained(base, str(folder)).to(find_device()).eval()
        return model, AutoTokenizer.from_pretrained(folder if (folder / TOKENIZER_CONFIG).is_file() else path)
