"""The two ways to have a training witnessed: a callback of Trainer, and a context for loops of one's own."""

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
    """A callback for transformers' Trainer and what derives from it, such as TRL's SFTTrainer.

    ``trainer.add_callback(sft_ref.Witness())`` stops a training in which nothing can be learned at its first step,
    warns of what is doubtful, and writes `sft_ref_record.json` beside the adapter with each checkpoint and wherever
    the model is saved later. It changes no result.

    The arguments are those of `witness`.

    Attributes:
        faults: all that were found so far.
        unexamined: subjects of findings that the first step did not show -> why; empty before the first step.
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
        """All that were found so far."""
        return self._training.faults if self._training else []

    @property
    def unexamined(self) -> dict[str, str]:
        """Subjects of findings that the first step did not show -> why; empty before the first step."""
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
        """Looks at the reported loss."""
        if self._training is not None:
            self._training.look_at(logs or {}, state.global_step)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Writes the record beside a checkpoint of a model that is spread over processes; others have it already."""
        if self._training is not None:
            self._training.write_sharded(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Takes the record, of the best model where that is loaded at the end."""
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
    """Context in which a training loop of one's own is witnessed; at its end the record is written to a folder.

    Args:
        model: that is trained, with its adapter.
        tokenizer: it is trained with; None where there is none.
        folder: where the adapter is saved.
        on_fault: "raise" ends a training in which nothing can be learned; "warn" goes on.
        store_text: whether the record may hold ids and labels of a few training rows; else it holds their hashes.
        held_out: texts that models are compared on where training rows must not be stored.
        supervised: "completion" or "all", what is meant to be supervised; None says nothing.
        steps: planned optimizer steps, where they are known; tells of rates that are too small before the end.
        scheduler: of the learning rate, where there is one.

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
