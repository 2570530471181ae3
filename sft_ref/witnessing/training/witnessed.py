"""One training under observation, from its first forward to the record of its end."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sft_ref.errors import SftRefError, TrainingError
from sft_ref.witnessing.findings.observation import Supervised, TrainingFault
from sft_ref.witnessing.record.layers import find_peft, is_sharded, why_no_record
from sft_ref.witnessing.record.processes import is_first_process
from sft_ref.witnessing.record.saving import save_with_record
from sft_ref.witnessing.record.take import Circumstances, TakenRecord, take_record

from .observer import TrainingObserver

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OnFault = Literal["raise", "warn"]


class TrainingWarning(UserWarning):
    """Something doubtful in a training, or, with ``on_fault="warn"``, something that keeps it from learning."""


@dataclass(frozen=True)
class WitnessOptions:
    """What the caller of a witness decides; see `callback.witness`.

    Raises:
        SftRefError: a value is none of those that are allowed.
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
    """One training under observation, from its first forward to the record of its end.

    Args:
        model: that is trained; in most cases a PeftModel.
        tokenizer: it is trained with; None where there is none.
        options: of the caller.
        steps: planned optimizer steps, where they are known.
        scheduler: of the learning rate, where it is known.
        seed: of the training, for the record.
        begun: optimizer steps that were made before, where a training goes on.

    Attributes:
        faults: all that were found so far.
        unexamined: subjects of findings that the first step did not show -> why; empty before the first step.
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
        self._final: TakenRecord | None = None
        self._has_lost = False
        self._observer = TrainingObserver(
            self._model, tokenizer, self._report, supervised=options.supervised, steps=steps, scheduler=scheduler
        )
        self._saving = save_with_record(self._model, self._take)
        self._observer.begin()

    @property
    def unexamined(self) -> dict[str, str]:
        """Subjects of findings that the first step did not show -> why; empty before the first step."""
        return self._observer.unexamined

    def end(self, reported: int = 0) -> None:
        """Ends the observation, and takes the record that later saves write.

        Args:
            reported: optimizer steps that the trainer has made; 0 where there is no trainer.
        """
        self._observer.end(reported)
        self._final = self._take_now()

    def write(self, folder: Path) -> None:
        """Writes the record of the end to a folder."""
        self._saving.write(folder)

    def write_sharded(self, folder: Path) -> None:
        """Writes the record beside a checkpoint of a model that is spread over processes, which must all call this."""
        if is_sharded(self._model) and (taken := self._take_now()):
            taken.write(folder)

    def stop(self) -> None:
        """Ends the observation; what is saved later has no record, unless the training had come to its end."""
        self._observer.remove_hooks()
        if self._final is None:
            vars(self._model).pop("save_pretrained", None)

    def look_at(self, logs: Mapping[str, float], step: int) -> None:
        """Looks at what a trainer reports of a step."""
        if (loss := logs.get("loss")) is not None and not math.isfinite(loss) and not self._has_lost:
            self._has_lost = True
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
        if reason := why_no_record(self._model):
            warnings.warn(f"no record of the training is written: {reason}", TrainingWarning, stacklevel=2)
            return None
        circumstances = Circumstances(
            self._begun + seen.step,
            seen.autocast,
            seen.rows,
            self._seed,
            stores_rows=self._options.store_text,
            held_out=self._options.held_out,
            missing=seen.unexamined,
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
        fatal = [fault for fault in found if fault.is_fatal and self._options.on_fault == "raise"]
        for fault in found:
            if fault not in fatal:
                warnings.warn(str(fault), TrainingWarning, stacklevel=2)
        if fatal:
            self.stop()
            raise TrainingError(" / ".join(map(str, fatal)))


def _trained_model(model: Any) -> Any:  # noqa: ANN401
    """The PeftModel, or else the transformers model, under what torch wraps around it.

    Raises:
        SftRefError: there is none.
    """
    found = find_peft(model)
    while found is None and not hasattr(model, "get_input_embeddings") and hasattr(model, "module"):
        model = model.module
    if found is None and not hasattr(model, "get_input_embeddings"):
        raise SftRefError(f"{type(model).__name__} is no model of transformers or peft; give the model that is trained")
    return model if found is None else found
