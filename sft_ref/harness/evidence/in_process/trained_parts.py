"""Evidence of the train, artifact and load stages: measurements of a training, its folder and the loaded model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class WrittenFiles:
    """The files written by a training that is given a folder and runs in another working directory.

    Attributes:
        elsewhere: files in the working directory.
        has_configuration: whether the adapter's configuration is in the given folder.
    """

    elsewhere: tuple[str, ...]
    has_configuration: bool


@dataclass(frozen=True)
class LossesBeforeAndAfter:
    """Losses of the true answers of the same rows, by the base model and by the trained model."""

    base: torch.Tensor
    trained: torch.Tensor


@dataclass(frozen=True)
class StepGradients:
    """The gradients of one optimizer step, by tensor name: of the whole batch, and for each way to split it."""

    whole: Mapping[str, torch.Tensor]
    split: Mapping[str, Mapping[str, torch.Tensor]]


@dataclass(frozen=True)
class SeededAdapters:
    """Adapters of short trainings.

    Attributes:
        one, again: of two trainings with the same settings.
        other: of one with another random seed.
        faster: of one with a higher learning rate; None if the implementation says that it used other settings.
    """

    one: Mapping[str, torch.Tensor]
    again: Mapping[str, torch.Tensor]
    other: Mapping[str, torch.Tensor]
    faster: Mapping[str, torch.Tensor] | None


@dataclass(frozen=True)
class AnswerLosses:
    """Losses of the true answers of fresh rows, one loss per row, in nat per token.

    Attributes:
        own: losses of the trained model.
        shared: losses of a shared training of the reference; None if there is none.
        same_conditions: losses of a training of the reference on the same texts with the same settings; None if it
            would show nothing that the shared one does not show.
        unknown: why there is no such training although one is needed.
    """

    own: torch.Tensor
    shared: torch.Tensor | None
    same_conditions: torch.Tensor | None = None
    unknown: str = ""


@dataclass(frozen=True)
class LogitsPair:
    """Observed and expected logits of the probes' tokens, shape (tokens, vocabulary)."""

    observed: torch.Tensor
    expected: torch.Tensor


@dataclass(frozen=True)
class ResumedTraining:
    """A short training, and the same training interrupted and resumed.

    Attributes:
        whole: adapter tensors of the uninterrupted training.
        saved: tensors in the folder of the uninterrupted training.
        after: number of steps before the other training is interrupted.
        resumed: adapter tensors of the other training; None if it was not resumed.
        refusal: why the implementation does not resume.
    """

    whole: Mapping[str, torch.Tensor]
    saved: Mapping[str, torch.Tensor]
    after: int
    resumed: Mapping[str, torch.Tensor] | None = None
    refusal: str = ""

    @property
    def is_saved_as_trained(self) -> bool:
        """Whether the saved tensors equal the trained ones."""
        return all(torch.equal(tensor, self.saved.get(name, tensor)) for name, tensor in self.whole.items())


@dataclass(frozen=True)
class SavedFiles:
    """The folder that training writes.

    Attributes:
        tensor_files: names of its safetensors files.
        others: names of the other files.
        unreadable: why a safetensors file cannot be read; empty if all can be read.
        tensors: number of tensors in these files.
    """

    tensor_files: tuple[str, ...]
    others: tuple[str, ...]
    unreadable: str = ""
    tensors: int = 0


@dataclass(frozen=True)
class WeightError:
    """The difference between a weight and its expected value.

    Attributes:
        error: norm of the difference.
        norm: norm of the expected value.
        added: norm of the delta added to the base weight.
    """

    name: str
    error: float
    norm: float
    added: float = 0.0


@dataclass(frozen=True)
class DeltaError:
    """The difference between the delta of a loaded Linear layer and the trained delta.

    Attributes:
        observed: norm of the loaded delta.
        expected: norm of the trained delta.
        error: norm of their difference.
        rounded_with: norm of the base weight if weight and delta were rounded as one sum, else 0.
    """

    name: str
    observed: float
    expected: float
    error: float
    rounded_with: float


@dataclass(frozen=True)
class SecondLoad:
    """The result of loading another adapter while the first model exists.

    Attributes:
        errors: deltas of the second model against those of its own training.
        before, after: losses of the first model on the same rows, before and after the second load, in nat per token.
    """

    errors: Sequence[DeltaError]
    before: torch.Tensor
    after: torch.Tensor


@dataclass(frozen=True)
class NamedBase:
    """The base model that the saved configuration names.

    Attributes:
        name: name in the saved configuration.
        trained: name of the base model that was trained.
        missing: why no base model of that name is found; empty if one is found.
        matches_trained_base: whether its weights are those of the base model that was trained.
    """

    name: str
    trained: str
    missing: str = ""
    matches_trained_base: bool = False


@dataclass(frozen=True)
class RotaryError:
    """The difference between a module's rotary embeddings and those computed in fp32.

    Attributes:
        frequency: largest relative error of a frequency.
        cosine, sine: largest absolute errors at the last position.
        last: index of that position.
    """

    name: str
    frequency: float
    cosine: float
    sine: float
    last: int


@dataclass(frozen=True)
class ModelChange:
    """One change of a model by answering; `name` is the module or tensor name."""

    observed: str
    expected: str
    name: str
