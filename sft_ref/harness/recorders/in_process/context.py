"""What a check is handed: one implementation, and the material that checks share, made once, when asked for."""

from __future__ import annotations

import copy
import functools
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.core.implementation import Answerer, Batch, Implementation, TrainingResult
from sft_ref.harness.core.sizes import UNLIMITED, Size, SizeLimits
from sft_ref.harness.core.stages import STAGES
from sft_ref.harness.evidence.views import BaseWeights, FolderDigests, MeasuredSize
from sft_ref.harness.instruments.deltas import due_deltas, merged, plain
from sft_ref.harness.instruments.generation_recorder import Ids, record_generation, record_prompt
from sft_ref.harness.instruments.losses import row_losses
from sft_ref.harness.instruments.sizes import project
from sft_ref.reference.bases.find import find_base
from sft_ref.reference.data import Row, split_rows
from sft_ref.reference.models import load_model
from sft_ref.reference.precision import POLICIES
from sft_ref.reference.settings import Settings

from .reference_run import ReferenceRun

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

P = ParamSpec("P")
T = TypeVar("T")

SETTINGS = Settings(steps=80)
"""Enough for the toy to answer nearly always, and for a fault of learning to show."""

PROBES: tuple[Row, ...] = (
    ("How many gram are there per 6 kg?", 6000.0),
    ("What is 7 km/h in mph?", 4.349598345661),
    ("Convert 3 TB to bits.", 24000000000000.0),
    ("What is 2 mm in m?", 0.002),
    ("What is minus three and a half?", -3.5),
    ("If I have 10 weeks, how many seconds is that?", 6048000.0),
    ("Tell me the number of miles in 9 km.", 5.592340730136006),
    ("Change 1 MB to kB.", 1000.0),
)
"""Rows with non-integer, long, small and negative answers, and prompts of unlike lengths."""


class Context:
    """One implementation under check.

    Args:
        implementation: whose statements are checked.
        folder: an empty folder to work in.
        trained: a training to use in place of the implementation's own, where the fault cannot lie in it.
        reference_run: a training of the reference, to compare with, or what makes one when it is first looked at.
        limits: of size; none unless somebody sets them.
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
    ) -> None:
        self.implementation = implementation
        self.folder = folder
        self.settings = SETTINGS
        self.limits = limits
        self._reference_run = reference_run
        self.stage = ""
        """Of the check that is running; the runner sets it."""
        self._trained = trained
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

    @functools.cached_property
    def train_rows(self) -> list[Row]:
        """The 1,000 rows that implementations are trained on."""
        return split_rows("train")

    @functools.cached_property
    def fresh_rows(self) -> list[Row]:
        """64 rows that no training has seen."""
        return split_rows("validation")[-64:]

    @functools.cached_property
    def batch(self) -> Batch:
        """`PROBES` as they reach training."""
        return self.call(self.implementation.training_batch, PROBES)

    @functools.cached_property
    def prompts(self) -> list[Ids]:
        """Ids that reach the model when the questions of `PROBES` are asked one by one."""
        return [self.prompt_of(question) for question, _ in PROBES]

    def prompt_of(self, question: str) -> Ids:
        """Ids that reach the model when a question is asked.

        An exception is the prompt's if `format_prompt` raises it, and else a failure of generate.
        """
        answerer = self.answerer
        self.call(answerer.format_prompt, question)
        return self._made_by("generate", lambda: self.call(record_prompt, answerer, question))

    @functools.cached_property
    def trained(self) -> TrainingResult:
        """The implementation's adapter, trained on `train_rows` with `settings`."""
        return self._made_by("train", self._train)

    def _train(self) -> TrainingResult:
        trained = self._trained or self.call(
            self.implementation.train, self.folder / "adapter", self.train_rows, self.settings
        )
        if trained.folder.is_dir():  # before anything can load it, and overwrite it
            shutil.copytree(trained.folder, self.stored)
        return trained

    def _made_by(self, stage: str, make: Callable[[], T]) -> T:
        """What a stage makes, tried once; where it fails, only checks of that stage and later ones are told how."""
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
        answerer, rows = self.answerer, PROBES[:2]
        self._made_by("generate", lambda: self.call(record_generation, answerer, *(row[0] for row in rows)))
        self._made_by("score", lambda: self.call(self.implementation.test, answerer, rows))
        return FolderDigests(_digests(self.stored), _digests(self.trained.folder))

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
