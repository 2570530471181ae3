"""What a check is handed: one implementation, and the material that checks share, made once, when asked for."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.core.implementation import Answerer, Batch, Implementation, TaskRow, TrainingResult
from sft_ref.harness.core.sizes import UNLIMITED, Size, SizeLimits
from sft_ref.harness.core.stages import STAGES
from sft_ref.harness.core.training_examples import TrainingExample, examples_of
from sft_ref.harness.evidence.training import RecordedTraining
from sft_ref.harness.evidence.views import (
    AnswerText,
    AnswerTexts,
    BaseWeights,
    ChosenTokens,
    FolderDigests,
    LabelledRow,
    LoadedLosses,
    MeasuredSize,
    ModelDtypes,
    SavedConfiguration,
    SavedTensors,
    SavedValues,
)
from sft_ref.harness.instruments.convention import decode
from sft_ref.harness.instruments.deltas import due_deltas, merged, pairs, read_blueprint, starts_of
from sft_ref.harness.instruments.generation_recorder import Ids, record_generation, record_prompt, scripted_model
from sft_ref.harness.instruments.losses import forward, row_losses, token_losses
from sft_ref.harness.instruments.sizes import project
from sft_ref.harness.recorders.folder.tensors.streaming import measure
from sft_ref.io.tensor_headers import read_header
from sft_ref.reference.bases.find import find_base
from sft_ref.reference.guards.dtypes import Dtypes, count_dtypes
from sft_ref.reference.guards.names import plain
from sft_ref.reference.models import load_model
from sft_ref.reference.precision import POLICIES
from sft_ref.reference.settings import Settings
from sft_ref.reference.tokens import IGNORE_INDEX

from .chosen_tokens import chosen_tokens_of
from .float16_toy import float16_toy
from .invented import invent
from .reference_run import ReferenceRun
from .task import Task, conversions
from .training_recorder import record_training

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

P = ParamSpec("P")
T = TypeVar("T")

SETTINGS = Settings(steps=80)
"""Enough for the toy to answer nearly always, and for a fault of learning to show."""


class Context:
    """One implementation under check.

    Args:
        implementation: whose statements are checked.
        folder: an empty folder to work in.
        trained: a training to use in place of the implementation's own, where the fault cannot lie in it.
        reference_run: a training of the reference, to compare with, or what makes one when it is first looked at.
        limits: of size; none unless somebody sets them.
        task: what is asked; unit conversions by default.
    """

    limits: SizeLimits

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
        self.task = task or conversions()
        self.implementation = implementation
        self.folder = folder
        self.settings = SETTINGS
        self.limits = limits
        self._reference_run = reference_run
        self.stage = ""
        """Of the check that is running; the runner sets it."""
        self._trained = trained
        self._training_steps: RecordedTraining | None = None
        self._failures: dict[str, Failure] = {}

    def call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs the implementation's code: what it raises is a failure of it, never of the check."""
        try:
            return work(*args, **kwargs)
        except (Failure, Unavailable, Blocked):
            raise
        except (Exception, SystemExit) as error:  # whatever foreign code raises is a finding about it
            seen = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            raise Failure(seen, "no exception", getattr(work, "__qualname__", repr(work))) from error

    @functools.cached_property
    def reference_run(self) -> ReferenceRun | None:
        """A training of the reference."""
        return self._reference_run() if callable(self._reference_run) else self._reference_run

    @property
    def train_rows(self) -> list[TaskRow]:
        """The rows that implementations are trained on."""
        return self.task.train_rows

    @property
    def fresh_rows(self) -> list[TaskRow]:
        """Rows that no training has seen, 64 at most."""
        return self.task.fresh_rows

    @property
    def probes(self) -> tuple[TaskRow, ...]:
        """Eight rows that checks of texts look at."""
        return self.task.probes

    @functools.cached_property
    def batch(self) -> Batch:
        """The probes as they reach training."""
        return self.call(self.implementation.training_batch, self.probes)

    @functools.cached_property
    def prompts(self) -> list[Ids]:
        """Ids that reach the model when the questions of the probes are asked one by one."""
        return [self.prompt_of(question) for question, _ in self.probes]

    def prompt_of(self, question: str) -> Ids:
        """Ids that reach the model when a question is asked.

        An exception is the prompt's if `format_prompt` raises it, and else a failure of generate.
        """
        answerer = self.answerer
        self.call(answerer.format_prompt, question)
        return self._made_by("generate", lambda: self.call(record_prompt, answerer, question))

    @property
    def labelled_rows(self) -> list[LabelledRow]:
        """See `views`: the batch of the probes, padding included."""
        rows = zip(self.batch.input_ids.tolist(), self.batch.labels.tolist(), self.probes, strict=True)
        return [LabelledRow(ids, labels, question) for ids, labels, (question, _) in rows]

    @property
    def answer_texts(self) -> AnswerTexts:
        """See `views`: what is labelled of the probes."""
        texts = []
        for (_, value), prompt, row in zip(self.probes, self.prompts, examples_of(self.batch), strict=True):
            text = decode(self.answerer.tokenizer, row.ids[len(prompt) : row.end])
            texts.append(AnswerText(text, value, self.task.contains(text, value)))
        return AnswerTexts(texts)

    @functools.cached_property
    def trained(self) -> TrainingResult:
        """The implementation's adapter, trained on `train_rows` with `settings`."""
        return self._made_by("train", self._train)

    def _train(self) -> TrainingResult:
        trained = self._trained or self._record_training()
        if trained.folder.is_dir():  # before anything can load it, and overwrite it
            shutil.copytree(trained.folder, self.stored)
        return trained

    def _record_training(self) -> TrainingResult:
        texts: list[TrainingExample] = []
        with contextlib.suppress(Failure):  # checks of the tokens report it
            texts = examples_of(self.call(self.implementation.training_batch, self.train_rows))
        with record_training(texts, self.settings.steps) as recorded:
            trained = self.call(self.implementation.train, self.folder / "adapter", self.train_rows, self.settings)
        if steps := recorded():
            self._training_steps = replace(steps, planned=(trained.settings or self.settings).steps)
        if not self.task.is_own:
            return trained
        logits = None if trained.forward is None else self.call(trained.forward, self.batch).cpu()
        return replace(trained, logits=logits, forward=None)  # which holds the model

    @property
    def training_steps(self) -> RecordedTraining | None:
        """What was recorded of the optimizer steps of `trained`; None if it was made elsewhere."""
        _ = self.trained
        return self._training_steps

    @property
    def frozen(self) -> frozenset[str]:
        """Tensors of the adapter that training froze from its first step, by their names in the base."""
        if self.training_steps is None:
            return frozenset()
        return frozenset(map(plain, self.trained.adapter)) - frozenset(map(plain, self.training_steps.steps[0].trained))

    @functools.cached_property
    def first_losses_of_base(self) -> torch.Tensor | None:
        """Cross-entropy of the base at each labelled token of the first batch of training."""
        if self.training_steps is None or self.training_steps.first_batch is None:
            return None
        batch = self.training_steps.first_batch
        return token_losses(forward(self.base_model, batch), batch.labels)[batch.labels[:, 1:] != IGNORE_INDEX]

    def _made_by(self, stage: str, make: Callable[[], T]) -> T:
        """What a stage makes, tried once; where it fails, checks of earlier stages are blocked."""
        try:
            if stage in self._failures:
                raise self._failures[stage]
            return make()
        except Failure as failure:
            self._failures[stage] = failure
            order = list(STAGES.values())
            if self.stage and order.index(self.stage) < order.index(stage):
                raise Blocked(f"it needs what {stage} makes, which fails: {failure.observed}") from failure
            raise

    @property
    def stored(self) -> Path:
        """A copy of the adapter's folder as training left it; look at `trained` first."""
        return self.folder / "as_trained"

    @property
    def saved_files(self) -> list[Path]:
        """The safetensors files that training left."""
        return sorted(self._folder.glob("*.safetensors"))

    @property
    def _folder(self) -> Path:
        return self.stored if self.trained.folder.is_dir() else self.trained.folder

    @functools.cached_property
    def saved_tensors(self) -> SavedTensors:
        """See `views`: by their names in the file."""
        note = "what the adapter took from the base at its start was converted: ART-009 compares the weights"
        return SavedTensors(self.trained.adapter, read_saved(self._folder), note=note if self.is_converted else "")

    @functools.cached_property
    def is_converted(self) -> bool:
        """Whether saving has put into the tensors what the start of the adapter took from the base."""
        saved = read_saved(self._folder)
        shapes = [(saved[name].shape, each.shape) for name, each in self.trained.adapter.items() if name in saved]
        return bool(self.starts) and any(own != trained for own, trained in shapes)

    @functools.cached_property
    def saved_configuration(self) -> SavedConfiguration:
        """See `views`: rank and scaling of each module, as peft understands the configuration.

        Converting a start changes them as it changes the tensors: ART-009 compares what comes of both.
        """
        found = self.call(read_blueprint, self._folder, self.base_model)
        if self.is_converted:
            return SavedConfiguration(_rank_and_scaling(found), _rank_and_scaling(found))
        ranks = {name: a.shape[0] for name, (a, _) in pairs(self.trained.adapter).items()}
        scalings = self.trained.scalings
        if not scalings:
            missing = "the scalings in training are unknown: give TrainingResult.scalings"
            saved = {name: rank for name, (rank, _) in found.items()}
            return SavedConfiguration(_named("rank", ranks), _named("rank", saved), missing=missing)
        trained = {name: (rank, scalings.get(name)) for name, rank in ranks.items()}
        return SavedConfiguration(_rank_and_scaling(trained), _rank_and_scaling(found))

    @functools.cached_property
    def saved_values(self) -> SavedValues:
        """See `views`."""
        headers = {name: header for path in self.saved_files for name, header in read_header(path).items()}
        return SavedValues(measure(headers), {name: each.dtype for name, each in headers.items()})

    @functools.cached_property
    def _loaded(self) -> tuple[Answerer, Any]:
        answerer = self._made_by("load", lambda: self.call(self.implementation.load, self.trained.folder))
        try:
            return answerer, copy.deepcopy(answerer.model)
        except Exception:  # noqa: BLE001  # of foreign modules; they need not be copied to answer
            return answerer, None

    @property
    def answerer(self) -> Answerer:
        """What `load` gives for it."""
        return self._loaded[0]

    @property
    def loaded_model(self) -> Any:  # noqa: ANN401  # whatever `load` gave
        """A copy of the answerer's model as `load` left it: answering cannot have changed it."""
        if self._loaded[1] is None:
            raise Unavailable("the loaded model cannot be copied")
        return self._loaded[1]

    @functools.cached_property
    def exact_model(self) -> Any:  # noqa: ANN401
        """`loaded_model`, computing in fp32."""
        return copy.deepcopy(self.loaded_model).float().eval()

    @functools.cached_property
    def fresh_batch(self) -> Batch:
        """`fresh_rows` as they would reach training."""
        return self.call(self.implementation.training_batch, self.fresh_rows)

    @property
    def named_base(self) -> str:
        """The model that the implementation is meant for: that which a toy stands for, or its base."""
        return str(getattr(self.implementation, "stands_for", self.implementation.base))

    @functools.cached_property
    def size(self) -> Size:
        """The stored adapter's, on `named_base`."""
        return project(self.stored, self.implementation.base, self.named_base)

    @property
    def sizes(self) -> MeasuredSize:
        """See `views`."""
        return MeasuredSize(self.size, onto=self.named_base)

    @property
    def base_weights(self) -> BaseWeights:
        """See `views`."""
        return BaseWeights(self.trained.changed, frozenset(map(plain, self.trained.adapter)))

    @functools.cached_property
    def folder_digests(self) -> FolderDigests:
        """See `views`: before and after loading and a few questions; the copy was made when training ended."""
        answerer, rows = self.answerer, self.probes[:2]
        self._made_by("generate", lambda: self.call(record_generation, answerer, *(row[0] for row in rows)))
        if getattr(self.implementation, "test", None):
            self._made_by("score", lambda: self.call(self.implementation.test, answerer, rows))
        return FolderDigests(_digests(self.stored), _digests(self.trained.folder))

    @functools.cached_property
    def model_dtypes(self) -> ModelDtypes:
        """See `views`: of base, adapter and float buffers; the toy is also loaded from a configuration with float16."""
        if not (trained := _flat(self.trained.dtypes)):
            return ModelDtypes({}, {})
        loaded = {"": _flat(count_dtypes(self.loaded_model))}
        if self.implementation.base == "toy":  # other bases are where the implementation finds them
            with float16_toy(self.folder):
                again = self.call(self.implementation.load, self.trained.folder)
            loaded["the base's configuration names float16"] = _flat(count_dtypes(again.model))
        return ModelDtypes(trained, loaded)

    @property
    def loaded_losses(self) -> LoadedLosses:
        """See `views`: of the true answer of each fresh row."""
        observed = self.call(row_losses, self.loaded_model, self.fresh_batch)
        return LoadedLosses(observed, self.trained_losses, self.base_losses)

    @functools.cached_property
    def chosen_tokens(self) -> ChosenTokens:
        """See `views`: of questions of which the model is unsure."""
        questions, tokenizer = invent(16, seed=10), self.answerer.tokenizer
        prompts = [*questions, *map(self.answerer.format_prompt, questions)]
        with scripted_model(self.answerer.model, tokenizer, keep_logits=True) as recorder:
            self.call(self.answerer.batched_generate, prompts)
        return chosen_tokens_of(recorder.generations, tokenizer)

    @functools.cached_property
    def base_tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer in the base's folder, loaded by us."""
        from transformers import AutoTokenizer

        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(find_base(self.implementation.base))
        return tokenizer

    @functools.cached_property
    def base_model(self) -> PreTrainedModel:
        """The base in fp32, loaded by us; not to be changed."""
        model = load_model(find_base(self.implementation.base), POLICIES["fp32"])
        model.eval()
        return model

    @functools.cached_property
    def deltas(self) -> dict[str, torch.Tensor]:
        """What training adds to each Linear's weight, by module of the base."""
        return due_deltas(self.trained, self.stored, self.base_model)

    @functools.cached_property
    def starts(self) -> Mapping[str, torch.Tensor]:
        """What the initialisation of the adapter took from the base, by module."""
        return self.call(starts_of, self.trained, self.stored, self.base_model)

    @functools.cached_property
    def trained_model(self) -> PreTrainedModel:
        """The base with what training left put into its weights, by us, in fp32."""
        return merged(self.base_model, self.trained, self.deltas)

    @functools.cached_property
    def base_losses(self) -> torch.Tensor:
        """Loss of the true answer for each fresh row, by the base."""
        return row_losses(self.base_model, self.fresh_batch)

    @functools.cached_property
    def trained_losses(self) -> torch.Tensor:
        """Loss of the true answer for each fresh row, by `trained_model`."""
        return row_losses(self.trained_model, self.fresh_batch)


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}


def _flat(dtypes: Dtypes) -> dict[str, str]:
    return {f"{kind} {name}": dtype for kind, names in dtypes.items() for name, dtype in names.items()}


def _rank_and_scaling(modules: Mapping[str, tuple[int, float | None]]) -> dict[str, object]:
    ranks, scalings = ({name: each[n] for name, each in modules.items()} for n in (0, 1))
    return _named("rank", ranks) | _named("scaling", scalings)


def _named(what: str, values: Mapping[str, object]) -> dict[str, object]:
    return {f"{what} of {name}": value for name, value in values.items()}


def read_saved(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of the safetensors files in a folder."""
    from safetensors.torch import load_file

    return {name: tensor for path in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(path).items()}
