"""Wraps the reference as an implementation; the only file of the harness that imports `sft`."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast
from unittest import mock

import torch
from transformers import TrainingArguments

from sft_ref.errors import AdapterError, SftRefError
from sft_ref.harness.core.implementation import Answerer, Batch, Implementation, TaskRow, TrainingResult
from sft_ref.harness.core.training_examples import TrainingExample
from sft_ref.harness.evidence.in_process.task import PROBES, Task, conversions
from sft_ref.harness.instruments.deltas import measure_init_deltas
from sft_ref.harness.instruments.losses import forward, row_losses
from sft_ref.harness.instruments.model_state import base_parameters, look
from sft_ref.io.lora_config import read_lora
from sft_ref.reference import adapter, models, precision, sft, tokens, training
from sft_ref.reference.base_llm import BaseLLM
from sft_ref.reference.bases.find import DEFAULT_BASE, find_base
from sft_ref.reference.data import Score
from sft_ref.reference.guards.names import plain
from sft_ref.reference.guards.progress import Step
from sft_ref.reference.guards.ranges import RANGES
from sft_ref.reference.settings import Settings

from .recorder import SETTINGS, Recorder
from .reference_run import ReferenceRun, lora_of


class Reference:
    """Calls the reference through its user API, and inspects the adapter when training ends.

    Everything is looked up in its module at call time, so that patching a module patches the reference.
    """

    claims_contract = True

    def __init__(self, base: str = "toy", policy: str | None = None, name: str = "reference") -> None:
        self.base, self.policy, self.name = base, policy, name
        self.stands_for = DEFAULT_BASE if base == "toy" else base

    def training_batch(self, rows: Sequence[TaskRow]) -> Batch:
        """See `Implementation`."""
        tokenizer = models.load_tokenizer(find_base(self.base))
        examples = [tokens.tokenize_example(tokenizer, *row) for row in rows]
        batch = tokens.collate(examples, tokenizer.pad_token_id)
        return Batch(batch["input_ids"], batch["attention_mask"], batch["labels"])

    def train(self, folder: Path, rows: Sequence[TaskRow], settings: Settings) -> TrainingResult:
        """See `Implementation`."""
        left: dict[str, Any] = {}
        fit = training.fit

        def fit_and_look(model: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # passes on
            before = {name: tensor.detach().clone() for name, tensor in base_parameters(model).items()}
            left["starts"] = self._measure_starts(model)
            history = fit(model, *args, **kwargs)
            now = base_parameters(model)
            left["changed"] = tuple(plain(name) for name in before if not torch.equal(before[name], now[name]))
            left.update(self._look(model))
            return history

        # the picture takes a seventh of a recording, and no check looks at it
        with mock.patch.object(training, "fit", fit_and_look), mock.patch.object(sft, "plot_losses"):
            history = sft.train(folder, base=self.base, rows=rows, policy=self.policy, settings=settings)
        return TrainingResult(folder, losses=tuple(step.loss for step in history), **left)

    def train_interrupted(
        self, folder: Path, rows: Sequence[TaskRow], settings: Settings, *, after: int
    ) -> TrainingResult:
        """See `Resumable`; the last checkpoint is that of step `after`, after which training is interrupted."""
        fit = training.fit

        def interrupt(step: Step) -> None:
            if step.step > after:
                raise KeyboardInterrupt

        def interrupted_fit(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # passes on
            return fit(*args, **{**kwargs, "report": interrupt})

        with mock.patch.object(training, "CHECKPOINT_EVERY", after):
            with contextlib.suppress(KeyboardInterrupt), mock.patch.object(training, "fit", interrupted_fit):
                self.train(folder, rows, settings)
            return self.train(folder, rows, settings)

    def _measure_starts(self, model: Any) -> dict[str, torch.Tensor]:  # noqa: ANN401  # a PeftModel
        """See `measure_init_deltas`; the base is loaded only if the adapter is nonzero before training."""
        if not any(tensor.any() for name, tensor in model.named_parameters() if "lora_B" in name):
            return {}
        return measure_init_deltas(model, models.load_model(find_base(self.base), precision.POLICIES["fp32"]))

    def _look(self, model: Any) -> dict[str, Any]:  # noqa: ANN401  # a PeftModel
        """Returns the fields of `TrainingResult` that describe a model in memory."""
        return {**look(model), "logits": forward(model, self.training_batch(PROBES)).cpu()}

    def gradients(self, rows: Sequence[TaskRow], *, micro_batches: int, checkpointing: bool) -> dict[str, torch.Tensor]:
        """See `Gradients`; the step is that of `training.fit`."""
        llm = BaseLLM(self.base, policy=precision.POLICIES["fp32"])
        model = adapter.add_adapter(llm.model, llm.policy, rank=4, alpha=8)
        summed: dict[str, torch.Tensor] = {}
        draw = torch.Generator().manual_seed(0)
        for name, tensor in model.named_parameters():
            if tensor.requires_grad:
                tensor.data = (torch.randn(tensor.shape, generator=draw) * 0.02).to(tensor)
                tensor.register_post_accumulate_grad_hook(
                    lambda tensor, name=name: summed.update({name: tensor.grad.detach().cpu().clone()})
                )
        names = {field.name for field in dataclasses.fields(TrainingArguments)}
        recompute = "activation_checkpointing" if "activation_checkpointing" in names else "gradient_checkpointing"
        accumulating: dict[str, Any] = {"gradient_accumulation_steps": micro_batches, recompute: checkpointing}
        if recompute == "gradient_checkpointing":  # here the default is reentrant, which needs gradients of the input
            accumulating["gradient_checkpointing_kwargs"] = {"use_reentrant": False}
        trainer_arguments: Any = training.TrainingArguments  # type: ignore[attr-defined]  # that which `training` uses
        arguments = functools.partial(trainer_arguments, **accumulating)
        with tempfile.TemporaryDirectory() as scratch, mock.patch.object(training, "TrainingArguments", arguments):
            training.fit(
                model,
                [tokens.tokenize_example(llm.tokenizer, *row) for row in rows],
                pad_token_id=llm.tokenizer.pad_token_id,
                policy=llm.policy,
                settings=Settings(steps=1, batch_size=len(rows) // micro_batches, rank=4, alpha=8),
                checkpoints=Path(scratch),
                report=lambda step: None,
            )
        return summed

    def trainables(self, policy: str) -> dict[str, torch.dtype]:
        """See `Trainables`."""
        llm = BaseLLM(self.base, policy=precision.POLICIES[policy])
        model = adapter.add_adapter(llm.model, llm.policy, rank=4, alpha=8)
        return {name: tensor.dtype for name, tensor in model.named_parameters() if tensor.requires_grad}

    def load(self, folder: Path) -> Answerer:
        """See `Implementation`."""
        return cast("Answerer", sft.load(folder))  # overloads hide it from mypy

    def test(self, answerer: Answerer, rows: Sequence[TaskRow]) -> Score:
        """See `Implementation`."""
        return sft.ask(answerer, rows).score  # type: ignore[arg-type]  # the reference's own type


def find_implementation(target: str) -> Implementation:
    """Returns the implementation named ``reference`` or ``module:object``; a callable object is called.

    Raises:
        SftRefError: the module or object does not exist, or it lacks a stage.
    """
    if target == "reference":
        return Reference()
    module, _, name = target.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")  # finds modules in the working directory, as `python -m` does
    try:
        found = getattr(importlib.import_module(module), name)
        made = found() if callable(found) else found
    except (Exception, SystemExit) as error:  # importing a module may raise anything
        no_path = "" if Path(target).exists() else "there is no such file or folder, and "
        raise SftRefError(
            f"{target}: {no_path}no implementation of that name can be imported ({type(error).__name__}: {error});"
            " give a path, or --module MODULE:OBJECT, or --module reference"
        ) from error
    missing = [part for part in ("name", "base", "training_batch", "train", "load") if not hasattr(made, part)]
    if missing:
        raise SftRefError(f"{target}: lacks {', '.join(missing)}; see the class Implementation of sft_ref.harness")
    return cast("Implementation", made)


def train_on(
    rows: Sequence[TrainingExample], base: str, adapter: Path, settings: Settings, label_smoothing: float = 0.0
) -> Any:  # noqa: ANN401  # a PeftModel
    """Trains a model with the reference on given texts, with the LoRA configuration of an adapter folder."""
    from peft import get_peft_model

    tokenizer = models.load_tokenizer(find_base(base))
    policy = precision.default_policy(precision.find_device())
    torch.manual_seed(settings.seed)
    lora = read_lora(adapter)
    if max([lora.rank, *lora.rank_pattern.values()]) not in RANGES["rank"]:
        raise AdapterError(f"{adapter}: has a rank of {lora.rank}; the reference trains {RANGES['rank']}")
    config = lora.for_training()
    model = get_peft_model(models.load_model(find_base(base), policy), config)
    for name, weight in model.named_parameters():
        weight.requires_grad = "lora_" in name
    examples = [tokens.Example(row.ids, len(row.ids) - (row.begin or 0)) for row in rows]
    cross_entropy = functools.partial(torch.nn.functional.cross_entropy, label_smoothing=label_smoothing)
    with (
        tempfile.TemporaryDirectory() as checkpoints,
        mock.patch.object(torch.nn.functional, "cross_entropy", cross_entropy),
    ):
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


def train_reference(folder: Path) -> TrainingResult:
    """Runs a sound training for comparison with others."""
    return Reference().train(folder / "shared", conversions().train_rows, SETTINGS)


def reference_run_of(trained: TrainingResult) -> ReferenceRun:
    """Builds the `ReferenceRun` of a training by the reference."""
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Reference(), Path(folder), trained=trained)
        conditions = (recorder.part("examples"), SETTINGS, lora_of(trained.folder), 0.0)
        losses = row_losses(recorder.part("answerer").model, recorder.part("fresh_batch"))
        return ReferenceRun(losses, conditions, train_on)


def reference_run_for(task: Task, folder: Path) -> ReferenceRun:
    """Returns the reference run that implementations of a task are compared with.

    For user rows no training is shared: the reference is trained on the implementation's texts.
    """
    return ReferenceRun(None, None, train_on) if task.is_own else reference_run_of(train_reference(folder))
