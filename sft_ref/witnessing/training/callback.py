"""Two ways to observe a training: a callback for Trainer, and a context manager for custom training loops."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sft_ref.witnessing.findings.observation import Supervised, TrainingFault

from .witnessed import OnFault, WitnessedTraining, WitnessOptions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Witness(TrainerCallback):
    """A callback for transformers' Trainer and its subclasses, such as TRL's SFTTrainer.

    ``trainer.add_callback(sft_ref.Witness())`` stops a training at its first step if nothing can be learned, warns
    about doubtful settings, and writes `sft_ref_record.json` beside the adapter with each checkpoint, and whenever the
    model is saved later. It does not change the result of the training.

    The arguments are those of `witness`.

    Attributes:
        faults: all faults found so far.
        unexamined: maps the subjects that the first step did not show to the reason; empty before the first step.
    """

    def __init__(
        self,
        *,
        on_fault: OnFault = "raise",
        store_text: bool = True,
        held_out: Sequence[str] = (),
        supervised: Supervised | None = None,
    ) -> None:
        self._options = WitnessOptions(on_fault, store_text, tuple(held_out), supervised)
        self._training: WitnessedTraining | None = None

    @property
    def faults(self) -> list[TrainingFault]:
        """All faults found so far."""
        return self._training.faults if self._training else []

    @property
    def unexamined(self) -> dict[str, str]:
        """Maps the subjects that the first step did not show to the reason; empty before the first step."""
        return self._training.unexamined if self._training else {}

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: torch.nn.Module | None = None,
        processing_class: Any = None,  # noqa: ANN401
        lr_scheduler: Any = None,  # noqa: ANN401
        **kwargs: object,
    ) -> None:
        """Begins the observation."""
        if self._training is not None:
            self._training.stop()
        self._training = WitnessedTraining(
            model,
            processing_class,
            self._options,
            steps=state.max_steps,
            scheduler=lr_scheduler,
            seed=args.seed,
            begun=state.global_step,
        )

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        logs: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Checks the reported loss."""
        if self._training is not None:
            self._training.look_at(logs or {}, state.global_step)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Writes the record beside a checkpoint of a sharded model; other checkpoints have it already."""
        if self._training is not None:
            self._training.write_sharded(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Takes the record, of the best model if that is loaded at the end."""
        if self._training is not None:
            self._training.end(state.global_step)


@contextlib.contextmanager
def witness(
    model: Any,  # noqa: ANN401
    tokenizer: PreTrainedTokenizerBase | None,
    folder: str | Path,
    *,
    on_fault: OnFault = "raise",
    store_text: bool = True,
    held_out: Sequence[str] = (),
    supervised: Supervised | None = None,
    steps: int | None = None,
    scheduler: Any = None,  # noqa: ANN401
) -> Iterator[WitnessedTraining]:
    """Observes a custom training loop within the context; at its end the record is written to a folder.

    Args:
        model: the model to train, with its adapter.
        tokenizer: the tokenizer used in training; None if there is none.
        folder: folder where the adapter is saved.
        on_fault: "raise" stops a training in which nothing can be learned; "warn" continues it.
        store_text: whether the record may contain token ids and labels of a few training rows; otherwise it contains
            only their hashes.
        held_out: texts on which models are compared if training rows must not be stored.
        supervised: the tokens that should be supervised, "completion" or "all"; None if not specified.
        steps: number of planned optimizer steps, if known; allows to detect learning rates that are too small before
            the end.
        scheduler: learning rate scheduler, if there is one.

    Raises:
        TrainingError: nothing can be learned, and `on_fault` is "raise".
    """
    training = WitnessedTraining(
        model,
        tokenizer,
        WitnessOptions(on_fault, store_text, tuple(held_out), supervised),
        steps=steps,
        scheduler=scheduler,
    )
    try:
        yield training
        training.end()
    except BaseException:
        training.stop()
        raise
    training.write(Path(folder))
