"""Evidence about an implementation, with one part for each property that a check tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from sft_ref.harness.core.findings import NotRecorded
from sft_ref.harness.core.implementation import Batch, TaskRow, TrainingResult
from sft_ref.harness.core.sizes import SizeLimits
from sft_ref.harness.core.training_examples import TrainingExample
from sft_ref.harness.evidence.training import FirstLosses, RecordedTraining
from sft_ref.harness.evidence.views import (
    AnswerCount,
    AnswerTexts,
    BaseWeights,
    ChosenTokens,
    FolderDigests,
    LabelledRow,
    LoadedLosses,
    MeasuredSize,
    ModelDtypes,
    ParsedText,
    ParsedTexts,
    ReportedFigures,
    ReturnedAnswer,
    SavedConfiguration,
    SavedTensors,
    SavedValues,
)

from .answer_parts import (
    AdapterOff,
    AskedText,
    AskedTwice,
    BatchComparison,
    BatchOutputs,
    GeneratedRows,
    GenerationEnd,
    ReturnedTexts,
    SampledTokens,
    ScriptedOutcome,
    SharedPrefix,
    TokenizedAgain,
    WrongAnswersWritten,
)
from .trained_parts import (
    AnswerLosses,
    DeltaError,
    LogitsPair,
    LossesBeforeAndAfter,
    ModelChange,
    NamedBase,
    ResumedTraining,
    RotaryError,
    SavedFiles,
    SecondLoad,
    SeededAdapters,
    StepGradients,
    WeightError,
    WrittenFiles,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from sft_ref.reference.settings import Settings

    from .task import Task

T = TypeVar("T")
Part: TypeAlias = T | NotRecorded | None
"""None if the part was not requested; `NotRecorded` if it could not be recorded."""

Ids: TypeAlias = tuple[int, ...]
Parser: TypeAlias = Callable[[str], Any]


@dataclass(frozen=True)
class ImplementationEvidence:
    """Recorded evidence about an implementation; `recordings` documents how each part is recorded.

    The tokenizers and the parser are objects of the target, not values: texts are decoded and parsed when a check needs
    them. Neither trains, loads nor generates anything.

    Attributes:
        task: the questions, and the criterion for a right answer.
        probes: eight rows of the task, for checks of texts.
        limits: limits on the size; none by default.
        settings: the hyperparameters that training is asked for.
    """

    task: Task
    probes: Sequence[TaskRow]
    limits: SizeLimits
    settings: Settings

    tokenizer: Part[PreTrainedTokenizerBase] = None
    base_tokenizer: Part[PreTrainedTokenizerBase] = None
    parse: Part[Parser] = None

    prompts: Part[Sequence[Ids]] = None
    similar_prompts: Part[Sequence[Mapping[str, Ids]]] = None
    unusual_texts: Part[Sequence[AskedText]] = None
    spaced_prompts: Part[Mapping[str, Ids]] = None

    batch: Part[Batch] = None
    examples: Part[Sequence[TrainingExample]] = None
    embedding_rows: Part[int] = None
    text_examples: Part[Mapping[TaskRow, TrainingExample]] = None
    longest_examples: Part[Mapping[str, TrainingExample]] = None
    tokenized_again: Part[TokenizedAgain] = None
    short_and_long: Part[Sequence[TrainingExample]] = None
    labelled_rows: Part[Sequence[LabelledRow]] = None
    answer_texts: Part[AnswerTexts] = None
    generation_end: Part[GenerationEnd] = None

    trained: Part[TrainingResult] = None
    training_steps: Part[RecordedTraining] = None
    first_losses: Part[FirstLosses] = None
    written_files: Part[WrittenFiles] = None
    delta_norms: Part[Mapping[str, float]] = None
    losses_before_and_after: Part[Sequence[LossesBeforeAndAfter]] = None
    step_gradients: Part[StepGradients] = None
    trainable_dtypes: Part[Mapping[str, Mapping[str, torch.dtype]]] = None
    seeded_adapters: Part[SeededAdapters] = None
    answer_losses: Part[AnswerLosses] = None
    final_logits: Part[LogitsPair] = None
    resumed_training: Part[ResumedTraining] = None
    base_weights: Part[BaseWeights] = None

    saved_files: Part[SavedFiles] = None
    saved_tensors: Part[SavedTensors] = None
    saved_values: Part[SavedValues] = None
    saved_configuration: Part[SavedConfiguration] = None
    reloaded_weights: Part[Sequence[WeightError]] = None
    named_base: Part[NamedBase] = None
    sizes: Part[MeasuredSize] = None

    folder_digests: Part[FolderDigests] = None
    model_dtypes: Part[ModelDtypes] = None
    loaded_losses: Part[LoadedLosses] = None
    delta_errors: Part[Sequence[DeltaError]] = None
    weight_errors: Part[Sequence[WeightError]] = None
    second_load: Part[SecondLoad] = None
    merged_logits: Part[LogitsPair] = None
    changed_values: Part[Mapping[str, float]] = None
    rotary_errors: Part[Sequence[RotaryError]] = None
    loaded_logits: Part[LogitsPair] = None

    longest_questions: Part[ScriptedOutcome] = None
    batch_outputs: Part[Sequence[BatchOutputs]] = None
    repeated_answers: Part[AskedTwice] = None
    shared_prefix: Part[SharedPrefix] = None
    batch_neighbours: Part[BatchComparison] = None
    single_and_batched: Part[Sequence[BatchComparison]] = None
    returned_answers: Part[Sequence[ReturnedAnswer]] = None
    known_answers: Part[Sequence[ReturnedAnswer]] = None
    chosen_tokens: Part[ChosenTokens] = None
    returned_texts: Part[ReturnedTexts] = None
    sampled_tokens: Part[Sequence[SampledTokens]] = None
    empty_batch_outputs: Part[Mapping[int | None, Any]] = None
    completions: Part[ReturnedTexts] = None
    answer_count: Part[AnswerCount] = None
    generated_rows: Part[GeneratedRows] = None
    changes_by_answering: Part[Sequence[ModelChange]] = None

    targets_written: Part[ScriptedOutcome] = None
    parsed_texts: Part[ParsedTexts] = None
    answerless_texts: Part[Sequence[ParsedText]] = None
    wrong_answers_written: Part[WrongAnswersWritten] = None

    reported_figures: Part[ReportedFigures] = None
    figures_of_texts: Part[ReportedFigures] = None
    figures_of_many: Part[Sequence[ReportedFigures]] = None
    adapter_off: Part[AdapterOff] = None
