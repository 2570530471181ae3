"""The two ways to have a training witnessed: a callback of Trainer, and a context for loops of one's own."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sft_ref.errors import SftRefError, TrainingError
from sft_ref.witnessing.record.layers import find_peft, is_sharded
from sft_ref.witnessing.record.processes import is_first_process
from sft_ref.witnessing.record.saving import save_with_record
from sft_ref.witnessing.record.take import Circumstances, TakenRecord, take_record

from .observation import Supervised, TrainingFault
from .observer import TrainingObserver

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OnFault = Literal["raise", "warn"]


class TrainingWarning(UserWarning):
    """Something doubtful in a training, or, with ``on_fault="warn"``, something that keeps it from learning."""


class WitnessedTraining:
    """One training under observation, from its first forward to the record of its end.

    Args:
        model: that is trained; in most cases a PeftModel.
        tokenizer: it is trained with; None where there is none.
        on_fault: "raise" ends a training in which nothing can be learned; "warn" goes on.
        store_text: whether the record may hold ids and labels of training rows; else it holds their hashes.
        held_out: texts that models are compared on where training rows must not be stored.
        supervised: "completion" or "all", what is meant to be supervised; None says nothing.
        steps: planned optimizer steps, where they are known.
        scheduler: of the learning rate, where it is known.
        seed: of the training, for the record.

    Attributes:
        faults: all that were found so far.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401
        tokenizer: PreTrainedTokenizerBase | None,
        *,
        on_fault: OnFault = "raise",
        store_text: bool = True,
        held_out: Sequence[str] = (),
        supervised: Supervised | None = None,
        steps: int | None = None,
        scheduler: Any = None,  # noqa: ANN401
        seed: int | None = None,
    ) -> None:
        if on_fault not in {"raise", "warn"}:
            raise SftRefError(f'on_fault is {on_fault!r}; give "raise" or "warn"')
        if supervised not in {None, "completion", "all"}:
            raise SftRefError(f'supervised is {supervised!r}; give "completion", "all" or None')
        self.faults: list[TrainingFault] = []
        self._model, self._tokenizer = find_peft(model) or model, tokenizer
        self._on_fault, self._stores = on_fault, store_text
        self._held_out, self._seed = tuple(held_out), seed
        self._final: TakenRecord | None = None
        self._observer = TrainingObserver(
            self._model, tokenizer, self._report, supervised=supervised, steps=steps, scheduler=scheduler
        )
        self._saving = save_with_record(self._model, self._take)
        self._observer.begin()

    def end(self) -> None:
        """Ends the observation, and takes the record that later saves write."""
        self._observer.end()
        self._final = self._take_now()

    def write(self, folder: Path) -> None:
        """Writes the record of the end to a folder."""
        self._saving.write(folder)

    def write_sharded(self, folder: Path) -> None:
        """Writes the record beside a checkpoint of a model that is spread over processes, which must all call this."""
        if is_sharded(self._model) and (taken := self._take_now()):
            taken.write(folder)

    def stop(self) -> None:
        """Ends the observation of a training that failed; what is saved later has no record."""
        self._observer.remove_hooks()
        vars(self._model).pop("save_pretrained", None)

    def look_at(self, logs: Mapping[str, float], step: int) -> None:
        """Looks at what a trainer reports of a step."""
        if (loss := logs.get("loss")) is not None and not math.isfinite(loss):
            mend = "lower the learning rate, clip gradients, or train in fp32 or bf16 autocast"
            self._report([TrainingFault(f"the reported loss is {loss} at step {step}", mend, is_fatal=True)])

    def _take(self) -> TakenRecord | None:
        """The record that belongs beside an adapter that is saved now; None where this process writes none.

        Processes save at different times; a model that is spread over them is run only where all take part.
        """
        if self._final is not None or is_sharded(self._model):
            return self._final  # what happens to the model after its training is no part of it
        return self._take_now()

    def _take_now(self) -> TakenRecord | None:
        """The record of the model as it is; of a model that is spread over processes, all must call this."""
        seen = self._observer
        if not seen.step or not (is_first_process() or is_sharded(self._model)):
            return None
        circumstances = Circumstances(
            seen.step, seen.autocast, seen.rows, self._seed, stores_rows=self._stores, held_out=self._held_out
        )
        taken = take_record(self._model, self._tokenizer, circumstances)
        return taken if is_first_process() else None

    def _report(self, faults: Iterable[TrainingFault]) -> None:
        """Warns of what is doubtful, and ends a training in which nothing can be learned.

        Raises:
            TrainingError: something was found, and `on_fault` is "raise"; the message has all that was found at once.
        """
        found = list(faults)
        self.faults += found
        fatal = [fault for fault in found if fault.is_fatal and self._on_fault == "raise"]
        for fault in found:
            if fault not in fatal:
                warnings.warn(str(fault), TrainingWarning, stacklevel=2)
        if fatal:
            self.stop()
            raise TrainingError(" / ".join(map(str, fatal)))


class Witness(TrainerCallback):
    """A callback for transformers' Trainer and what derives from it, such as TRL's SFTTrainer.

    ``trainer.add_callback(sft_ref.Witness())`` stops a training in which nothing can be learned at its first step,
    warns of what is doubtful, and writes `sft_ref_record.json` beside the adapter with each checkpoint and wherever
    the model is saved later. It changes no result.

    Args:
        on_fault: "raise" (default) or "warn".
        store_text: whether the record may hold ids and labels of a few training rows; else it holds their hashes.
        held_out: texts that models are compared on where training rows must not be stored.
        supervised: "completion" or "all", what is meant to be supervised; None says nothing.

    Attributes:
        faults: all that were found so far.
    """

    def __init__(
        self,
        *,
        on_fault: OnFault = "raise",
        store_text: bool = True,
        held_out: Sequence[str] = (),
        supervised: Supervised | None = None,
    ) -> None:
        self._options: dict[str, Any] = {
            "on_fault": on_fault,
            "store_text": store_text,
            "held_out": tuple(held_out),
            "supervised": supervised,
        }
        self._training: WitnessedTraining | None = None

    @property
    def faults(self) -> list[TrainingFault]:
        """All that were found so far."""
        return self._training.faults if self._training else []

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
            model, processing_class, steps=state.max_steps, scheduler=lr_scheduler, seed=args.seed, **self._options
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
            self._training.end()


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
        on_fault=on_fault,
        store_text=store_text,
        held_out=held_out,
        supervised=supervised,
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
