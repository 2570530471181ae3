"""Observes one training, from its first forward pass to the record at its end."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sft_ref.errors import SftRefError, TrainingError
from sft_ref.witnessing.findings.observation import Supervised, TrainingFault
from sft_ref.witnessing.record.create import TrainingMetadata, UnwrittenRecord, create_record
from sft_ref.witnessing.record.layers import find_peft, is_sharded, why_no_record
from sft_ref.witnessing.record.processes import is_first_process
from sft_ref.witnessing.record.saving import save_with_record

from .observer import TrainingObserver

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OnFault = Literal["raise", "warn"]


class TrainingWarning(UserWarning):
    """A doubtful setting of a training, or, with ``on_fault="warn"``, a fault that keeps it from learning."""


@dataclass(frozen=True)
class WitnessOptions:
    """The options of a witness; see `callback.witness`.

    Raises:
        SftRefError: an option has an invalid value.
    """

    on_fault: OnFault
    store_text: bool
    held_out: tuple[str, ...]
    supervised: Supervised | None

    def __post_init__(self) -> None:
        if self.on_fault not in {"raise", "warn"}:
            raise SftRefError(f'on_fault is {self.on_fault!r}; give "raise" or "warn"')
        if self.supervised not in {None, "completion", "all"}:
            raise SftRefError(f'supervised is {self.supervised!r}; give "completion", "all" or None')


class WitnessedTraining:
    """One observed training, from its first forward pass to the record at its end.

    Args:
        model: the model to train; in most cases a PeftModel.
        tokenizer: the tokenizer used in training; None if there is none.
        options: the caller's options.
        steps: number of planned optimizer steps, if known.
        scheduler: learning rate scheduler, if known.
        seed: random seed of the training, for the record.
        begun: number of optimizer steps made before, if a training is resumed.

    Attributes:
        faults: all faults found so far.
        unexamined: maps the subjects that the first step did not show to the reason; empty before the first step.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401
        tokenizer: PreTrainedTokenizerBase | None,
        options: WitnessOptions,
        *,
        steps: int | None = None,
        scheduler: Any = None,  # noqa: ANN401
        seed: int | None = None,
        begun: int = 0,
    ) -> None:
        self.faults: list[TrainingFault] = []
        self._model, self._tokenizer, self._begun = _trained_model(model), tokenizer, begun
        self._options, self._seed = options, seed
        self._final: UnwrittenRecord | None = None
        self._has_lost = False
        self._observer = TrainingObserver(
            self._model, tokenizer, self._report, supervised=options.supervised, steps=steps, scheduler=scheduler
        )
        self._saving = save_with_record(self._model, self._take)
        self._observer.begin()

    @property
    def unexamined(self) -> dict[str, str]:
        """Maps the subjects that the first step did not show to the reason; empty before the first step."""
        return self._observer.unexamined

    def end(self, reported: int = 0) -> None:
        """Ends the observation, and takes the record that is written when the model is saved later.

        Args:
            reported: number of optimizer steps according to the trainer; 0 if there is no trainer.
        """
        self._observer.end(reported)
        self._final = self._create_now()

    def write(self, folder: Path) -> None:
        """Writes the record taken at the end to a folder."""
        self._saving.write(folder)

    def write_sharded(self, folder: Path) -> None:
        """Writes the record beside a checkpoint of a sharded model; all processes must call this."""
        if is_sharded(self._model) and (taken := self._create_now()):
            taken.write(folder)

    def stop(self) -> None:
        """Ends the observation; later saves write no record, unless the training had finished."""
        self._observer.remove_hooks()
        if self._final is None:
            vars(self._model).pop("save_pretrained", None)

    def look_at(self, logs: Mapping[str, float], step: int) -> None:
        """Checks the loss that a trainer reports for a step."""
        if (loss := logs.get("loss")) is not None and not math.isfinite(loss) and not self._has_lost:
            self._has_lost = True
            remedy = "lower the learning rate, clip gradients, or train in fp32 or bf16 autocast"
            self._report([TrainingFault(f"the reported loss is {loss} at step {step}", remedy, is_fatal=True)])

    def _take(self) -> UnwrittenRecord | None:
        """Returns the record for an adapter that is being saved; None if this process writes none.

        Processes save at different times; a sharded model is run only when all processes take part.
        """
        if self._final is not None or is_sharded(self._model):
            return self._final  # later changes of the model do not belong to its training
        return self._create_now()

    def _create_now(self) -> UnwrittenRecord | None:
        """Takes the record of the model in its present state; for a sharded model, all processes must call this."""
        seen = self._observer
        if not seen.step or not (is_first_process() or is_sharded(self._model)):
            return None
        if reason := why_no_record(self._model):
            warnings.warn(f"no record of the training is written: {reason}", TrainingWarning, stacklevel=2)
            return None
        circumstances = TrainingMetadata(
            self._begun + seen.step,
            seen.autocast,
            seen.rows,
            self._seed,
            stores_rows=self._options.store_text,
            held_out=self._options.held_out,
            missing=seen.unexamined,
        )
        taken = create_record(self._model, self._tokenizer, circumstances)
        return taken if is_first_process() else None

    def _report(self, faults: Iterable[TrainingFault]) -> None:
        """Warns about faults, and stops a training in which nothing can be learned.

        Raises:
            TrainingError: a fatal fault was found, and `on_fault` is "raise"; the message contains all fatal faults
                found at once.
        """
        found = list(faults)
        self.faults += found
        fatal = [fault for fault in found if fault.is_fatal and self._options.on_fault == "raise"]
        for fault in found:
            if fault not in fatal:
                warnings.warn(str(fault), TrainingWarning, stacklevel=2)
        if fatal:
            self.stop()
            raise TrainingError(" / ".join(map(str, fatal)))


def _trained_model(model: Any) -> Any:  # noqa: ANN401
    """Returns the PeftModel, or else the transformers model, inside torch's wrappers.

    Raises:
        SftRefError: there is no such model.
    """
    found = find_peft(model)
    while found is None and not hasattr(model, "get_input_embeddings") and hasattr(model, "module"):
        model = model.module
    if found is None and not hasattr(model, "get_input_embeddings"):
        raise SftRefError(
            f"{type(model).__name__} is not a model of transformers or peft; give the model that is trained"
        )
    return model if found is None else found
