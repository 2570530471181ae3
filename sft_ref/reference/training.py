"""The training loop: transformers' Trainer, on supervised tokens only.

Independent of how an adapter is saved and how its answers are scored.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from transformers import PrinterCallback, TrainingArguments

from sft_ref.reference.fast.casts import frozen_weights_cast
from sft_ref.reference.guards.progress import History, Step, check_learned
from sft_ref.reference.guards.resuming import last_checkpoint
from sft_ref.reference.guards.surroundings import isolated, matmul_mode
from sft_ref.reference.guards.trainer import CarefulTrainer, accelerate_contained, interruptible

from . import tokens
from .loss import batch_loss
from .precision import Policy
from .settings import Settings
from .tokens import Example

if TYPE_CHECKING:
    from peft import PeftModel

CHECKPOINT_EVERY = 20
"""Optimizer steps between checkpoints; a checkpoint of a small adapter is written in milliseconds."""


def fit(
    model: PeftModel,
    examples: Sequence[Example],
    *,
    pad_token_id: int,
    policy: Policy,
    settings: Settings,
    checkpoints: Path,
    report: Callable[[Step], None],
) -> list[Step]:
    """Trains the adapter in place, resuming from the last checkpoint in `checkpoints` if there is one.

    Returns:
        One entry per optimizer step.

    Raises:
        OutputError: the checkpoint is damaged.
        TrainingError: too many steps in a row were not finite, the adapter is not finite, or nothing was learned.
        KeyboardInterrupt: Ctrl-C was pressed; raised once a checkpoint is written, after a second Ctrl-C at once.
    """
    checkpoint = last_checkpoint(checkpoints, model)
    history = History(report, settings.batch_size * sum(len(each.input_ids) for each in examples) / len(examples))
    with isolated(model.device), accelerate_contained(model):
        arguments = TrainingArguments(
            output_dir=str(checkpoints),
            max_steps=settings.steps,
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=settings.steps // 10,
            seed=settings.seed,
            bf16=policy.compute == "bfloat16",  # Trainer adds autocast around each forward pass
            fp16=policy.compute == "float16",
            use_cpu=model.device.type == "cpu",
            logging_steps=1,
            logging_nan_inf_filter=False,  # the filter would hide NaN losses
            save_steps=CHECKPOINT_EVERY,
            save_total_limit=1,
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
            label_names=["labels"],
            dataloader_pin_memory=False,
        )
        trainer = CarefulTrainer(
            batch_loss,
            model=model,
            args=arguments,
            train_dataset=list(examples),
            data_collator=functools.partial(tokens.collate, pad_token_id=pad_token_id),
            callbacks=[history],
        )
        trainer.remove_callback(PrinterCallback)
        with (
            matmul_mode(policy.matmul),
            frozen_weights_cast(model, policy.compute),
            interruptible(trainer, checkpoints),
        ):
            trainer.train(resume_from_checkpoint=checkpoint)
    model.eval()
    check_learned(model)
    return history.steps
