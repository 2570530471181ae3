"""A witness of TRL's trainers on chat data: sound ones have no finding, faults are named, and the adapter is verified.

`nox -s trl` has the environment for these tests.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import witnessed
from families import edit_config
from transformers import AutoTokenizer

import sft_ref
from sft_ref.witnessing.record.schema import read_stored
from sft_ref.witnessing.verifying.folder import verify_folder

from .fine_tunes import BASE, FEW, TEXTS
from .sft_trainers import all_masked, answered, asked, by_padding, completions, make_dpo_trainer, make_sft_trainer

pytest.importorskip("trl", reason="the extra trl is not installed: nox -s trl")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")

ROWS = TEXTS[:48]
COMPLETIONS = completions(ROWS)
CHATS = [{"messages": [*asked(question), *answered(str(answer))]} for question, answer in ROWS]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] }}<|im_end|>{% endgeneration %}"
    "{% else %}{{ message['content'] }}<|im_end|>{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""The toy's template, with marks around what the assistant writes."""


def tokenizer(template: str | None = None, **changes: Any) -> Any:
    found = AutoTokenizer.from_pretrained(BASE)
    found.chat_template = template or found.chat_template
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def smoothed(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
    logits = outputs["logits"][:, :-1].flatten(0, 1)
    return torch.nn.functional.cross_entropy(logits, labels[:, 1:].flatten(), label_smoothing=0.1)


def sft(data: Any = COMPLETIONS, **options: Any) -> Callable[[Path], Any]:
    return lambda folder: make_sft_trainer(folder, data, **options)


def changed(change: Callable[[Any], object], **options: Any) -> Callable[[Path], Any]:
    """An SFTTrainer that is changed before it trains."""

    def make(folder: Path) -> Any:
        trainer = make_sft_trainer(folder, COMPLETIONS, **options)
        change(trainer)
        return trainer

    return make


FUSED = {"loss": "the loss is not computed from the outputs of the output head"}
KEPT = {
    "labels": "no labels reached the model's forward: the trainer computes its own loss from them",
    "loss": "labels are not known",
}

SOUND: dict[str, tuple[Callable[[Path], Any], dict[str, str]]] = {
    "completions": (sft(), FUSED),
    "assistant masks": (sft(CHATS, assistant_only_loss=True, processing_class=tokenizer(TEMPLATE)), FUSED),
    "packed": (sft(packing=True, max_length=256, per_device_train_batch_size=2), FUSED),
    "packed by cutting": (sft(packing=True, packing_strategy="wrapped", max_length=64), FUSED),
    "accumulated": (sft(gradient_accumulation_steps=2, per_device_train_batch_size=4), FUSED),
    "label smoothing": (sft(label_smoothing_factor=0.1), KEPT),
    "a loss of one's own": (sft(compute_loss_func=smoothed), KEPT),
    "preferences": (make_dpo_trainer, FUSED),
}
"""Name -> a trainer that nothing is wrong with, and what of its first step cannot be examined."""


def freeze(trainer: Any) -> None:
    for name, each in trainer.model.named_parameters():
        if "layers.0" in name:
            each.requires_grad_(requires_grad=False)


def skip_feed_forward(trainer: Any) -> None:
    trainer.model.get_base_model().model.layers[2].mlp.forward = torch.zeros_like


def halve(trainer: Any) -> None:
    for name, each in trainer.model.named_parameters():
        if "lora_" in name:
            each.data = each.data.half()


def without_input_gradients(trainer: Any) -> None:
    base = trainer.model.get_base_model()
    base.disable_input_require_grads()
    base.enable_input_require_grads = lambda: None  # which the trainer calls once more


def end_early(trainer: Any) -> None:
    trainer.create_optimizer()
    trainer.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(trainer.optimizer, lambda step: float(step < 2))


def other_optimizer(trainer: Any) -> None:
    base = [each for name, each in trainer.model.named_parameters() if "lora_" not in name]
    trainer.optimizer = torch.optim.AdamW(base, lr=1e-3)


def zero(trainer: Any) -> None:
    for name, each in trainer.model.named_parameters():
        if "lora_A" in name:
            each.data.zero_()


REENTRANT = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}}

FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "every label masked": (sft(data_collator=all_masked(tokenizer())), r"all 8 rows .* have no supervised token"),
    "end masked, for it is padding": (
        sft(data_collator=by_padding(tokenizer())),
        r"no row .* supervises the token that",
    ),
    "prompts are learned": (sft(completion_only_loss=False), r"nothing is masked in all 8 rows"),
    "answers cut": (sft(max_length=44), r"answers are cut by truncation"),
    "rate too small": (sft(learning_rate=1e-9), r"planned steps add up to"),
    "schedule ends early": (changed(end_early), r"the learning rate is zero from step 3 on, of 6 planned"),
    "part of the adapter frozen": (changed(freeze), r"14 of 42 tensors of the adapter are frozen"),
    "optimizer of the base": (changed(other_optimizer), r"does not hold all 42 tensors of the adapter"),
    "a module takes no part": (changed(skip_feed_forward), r"no gradient reaches 3 of 21 modules"),
    "A and B zero": (changed(zero), r"gradient of all 21 modules .* is zero"),
    "adapter in float16": (changed(halve), r"all 42 tensors of the adapter are trained in float16"),
    "checkpoints without input gradients": (
        changed(without_input_gradients, **REENTRANT),
        r"gradient checkpointing in its reentrant form",
    ),
    "preferences, rate too small": (
        lambda folder: make_dpo_trainer(folder, learning_rate=1e-9),
        r"planned steps add up to",
    ),
}
"""Name -> a trainer with one fault, and what is found."""


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_training_has_no_finding_and_its_adapter_is_what_was_trained(name: str, tmp_path: Path) -> None:
    make, unexamined = SOUND[name]
    trainer = make(tmp_path / "run")
    witness = sft_ref.Witness()
    trainer.add_callback(witness)
    trainer.train()
    assert witness.faults == []
    assert witness.unexamined == unexamined
    trainer.save_model(str(tmp_path / "adapter"))
    record = read_stored(tmp_path / "adapter").record
    assert record.step == FEW
    assert unexamined.items() <= record.missing.items()
    assert len(record.probes) == 6
    assert verify_folder(tmp_path / "adapter").ok
    edit_config(tmp_path / "adapter", lora_alpha=16)
    assert verify_folder(tmp_path / "adapter").kinds == {"artifact", "load"}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name: str, tmp_path: Path) -> None:
    make, pattern = FAULTS[name]
    trainer, witness = make(tmp_path), sft_ref.Witness(on_fault="warn")
    trainer.add_callback(witness)
    with witnessed.no_warnings(), contextlib.suppress(RuntimeError):  # of torch, where nothing needs a gradient
        trainer.train()
    assert any(re.search(pattern, str(each)) for each in witness.faults), witness.faults
