"""Records an implementation in this process, each part once, in the order of `RECORDINGS`."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sft_ref.errors import MachineError, MissingModuleError
from sft_ref.harness.core.findings import Failure, NotRecorded
from sft_ref.harness.core.implementation import Implementation, TrainingResult
from sft_ref.harness.core.sizes import UNLIMITED, SizeLimits
from sft_ref.harness.evidence.in_process.implementation_evidence import ImplementationEvidence
from sft_ref.harness.evidence.in_process.task import Task, conversions
from sft_ref.harness.instruments.memory.frozen_heap import frozen_heap
from sft_ref.io.foreign import is_failure
from sft_ref.reference.settings import Settings

from .recordings import figures, generated, loaded, sampled, saved, scored, texts, training, trials
from .reference_run import ReferenceRun

SETTINGS = Settings(steps=80)
"""Settings of the recorded training: enough for the toy to answer nearly always, and for learning faults to show."""

RECORDINGS: tuple[Callable[..., Any], ...] = (
    # train, then a copy of the folder, then load: no question is asked before
    training.training_run,
    training.stored,
    training.trained,
    training.training_steps,
    training.frozen,
    loaded.loaded_run,
    loaded.answerer,
    loaded.loaded_model,
    # prompt, tokens: prompts are recorded before anything is tokenized for training
    texts.tokenizer,
    texts.similar_prompts,
    texts.prompts,
    texts.unusual_prompts,
    texts.batch,
    texts.examples,
    texts.unusual_texts,
    texts.spaced_prompts,
    texts.base_tokenizer,
    texts.labelled_rows,
    texts.longest_examples,
    texts.text_examples,
    texts.answer_texts,
    texts.generation_end,
    texts.tokenized_again,
    texts.short_and_long,
    # train
    training.extended_base,
    training.embedding_rows,
    training.base_model,
    training.starts,
    training.deltas,
    training.delta_norms,
    training.trained_model,
    training.fresh_batch,
    training.fresh_losses,
    training.losses_before_and_after,
    training.first_losses,
    training.final_logits,
    training.base_weights,
    trials.written_files,
    trials.step_gradients,
    trials.trainable_dtypes,
    trials.short_training,
    trials.seeded_adapters,
    trials.resumed_training,
    trials.reference_run,
    trials.answer_losses,
    # artifact
    saved.saved_folder,
    saved.saved_files,
    saved.is_converted,
    saved.saved_tensors,
    saved.saved_configuration,
    saved.saved_values,
    saved.reloaded_weights,
    saved.named_base,
    saved.target_model,
    saved.size,
    saved.sizes,
    # load
    loaded.folder_digests,
    loaded.delta_errors,
    loaded.loaded_losses,
    loaded.merged_logits,
    loaded.model_dtypes,
    loaded.changed_values,
    loaded.rotary_errors,
    loaded.loaded_logits,
    loaded.weight_errors,
    loaded.model_in_fp32,
    loaded.second_load,
    # generate
    generated.scripting,
    generated.mixed_batch,
    generated.answer_count,
    generated.generated_rows,
    generated.longest_questions,
    generated.batch_outputs,
    generated.repeated_answers,
    generated.shared_prefix,
    generated.batch_neighbours,
    generated.single_and_batched,
    generated.asked_one_by_one,
    generated.asked_at_length,
    generated.asked_together,
    generated.known_questions,
    scored.parse,
    generated.returned_answers,
    generated.known_answers,
    generated.chosen_tokens,
    generated.returned_texts,
    sampled.sampled_tokens,
    generated.empty_batch_outputs,
    generated.completions,
    generated.changes_by_answering,
    # parse, score
    scored.targets_written,
    scored.parsed_texts,
    scored.answerless_texts,
    scored.wrong_answers_written,
    figures.reported_figures,
    figures.figures_of_many,
    scored.adapter_off,
    figures.figures_of_texts,  # last, because testing may allow answers that are texts more tokens
)
"""Parts in recording order; each is made from earlier parts, which its parameters name."""

_NEEDS = MappingProxyType({each.__name__: tuple(inspect.signature(each).parameters) for each in RECORDINGS})
_STAGES = MappingProxyType({"training_run": "train", "loaded_run": "load"})
"""Parts that run a stage of the implementation; their failures are assigned to that stage."""

_FIELDS = tuple(field.name for field in fields(ImplementationEvidence))
_SEED = 0


class Recorder:
    """Records one implementation.

    Args:
        implementation: implementation to record.
        folder: empty working folder.
        trained: training result to use in place of the implementation's own, when the fault cannot be in training.
        reference_run: training of the reference to compare with, or a function that makes one when needed.
        limits: size limits; unlimited by default.
        task: task to ask; unit conversions by default.
    """

    def __init__(
        self,
        implementation: Implementation,
        folder: Path,
        *,
        trained: TrainingResult | None = None,
        reference_run: ReferenceRun | Callable[[], ReferenceRun | None] | None = None,
        limits: SizeLimits = UNLIMITED,
        task: Task | None = None,
    ) -> None:
        task = task or conversions()
        self._parts: dict[str, Any] = {
            "implementation": implementation,
            "folder": folder,
            "given_training": trained,
            "reference_run_source": reference_run,
            "limits": limits,
            "task": task,
            "probes": task.probes,
            "settings": SETTINGS,
        }

    def record(self, names: Iterable[str]) -> ImplementationEvidence:
        """Records the named parts and the parts they depend on, unless they are already recorded.

        Raises:
            MachineError: the machine prevented the implementation from finishing.
            MissingModuleError: the implementation needs a module that is not installed.
        """
        needed = self._with_what_they_need(names)
        for make in RECORDINGS:
            if make.__name__ in needed and make.__name__ not in self._parts:
                self._parts[make.__name__] = self._tried(make)
        parts: dict[str, Any] = {name: self._parts.get(name) for name in _FIELDS}
        return ImplementationEvidence(**parts)

    def has(self, name: str) -> bool:
        """Returns whether a part is recorded."""
        return name in self._parts and not isinstance(self._parts[name], NotRecorded)

    def part(self, name: str) -> Any:  # noqa: ANN401
        """Returns one part; records it first if necessary.

        Raises:
            BaseException: the exception that ended the recording of the part.
        """
        self.record([name])
        found = self._parts[name]
        if isinstance(found, NotRecorded):
            raise found.error
        return found

    def _with_what_they_need(self, names: Iterable[str]) -> set[str]:
        needed, waiting = set(), [*names]
        while waiting:
            if (name := waiting.pop()) not in needed:
                needed.add(name)
                waiting += _NEEDS.get(name, ())
        return needed

    def _tried(self, make: Callable[..., Any]) -> Any:  # noqa: ANN401
        """Makes a part, or `NotRecorded` on failure; each part starts from the same random seed."""
        import torch

        given = {name: self._parts[name] for name in _NEEDS[make.__name__]}
        for part in given.values():
            if isinstance(part, NotRecorded):
                return NotRecorded(part.error, _STAGES.get(make.__name__, part.stage))
        random.seed(_SEED)
        torch.manual_seed(_SEED)
        try:
            with frozen_heap():
                return make(**given)
        except (MachineError, MissingModuleError):  # nothing can be graded
            raise
        except Failure as failure:
            return NotRecorded(failure, _STAGES.get(make.__name__, failure.stage))
        except BaseException as error:
            if not (is_failure(error) or isinstance(error, SystemExit)):
                raise
            return NotRecorded(error)
