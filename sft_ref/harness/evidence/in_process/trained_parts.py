"""Parts of the stages train, artifact and load: what is measured of a training, its folder and the loaded model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class WrittenFiles:
    """Where a training writes that is given a folder, and starts in another one.

    Attributes:
        elsewhere: files in the working directory.
        has_configuration: whether the adapter's configuration lies in the given folder.
    """

    elsewhere: tuple[str, ...]
    has_configuration: bool


@dataclass(frozen=True)
class LossesBeforeAndAfter:
    """Losses of the true answers of the same rows, by the base and by what training left on it."""

    base: torch.Tensor
    trained: torch.Tensor


@dataclass(frozen=True)
class StepGradients:
    """The gradients of one optimizer step, by tensor: of the whole batch, and split otherwise, by how it is split."""

    whole: Mapping[str, torch.Tensor]
    split: Mapping[str, Mapping[str, torch.Tensor]]


@dataclass(frozen=True)
class SeededAdapters:
    """Adapters of three short trainings: of one seed, of the same seed again, and of another."""

    one: Mapping[str, torch.Tensor]
    again: Mapping[str, torch.Tensor]
    other: Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class AnswerLosses:
    """Losses of the true answers of fresh rows, a row each, in nat a token.

    Attributes:
        own: by what training left on the base.
        shared: by a training of the reference that is shared; None where there is none.
        same_conditions: by a training of the reference on the same texts with the same settings; None where it would
            show nothing that the shared one does not show.
        unknown: why there is no such training, where one is needed.
    """

    own: torch.Tensor
    shared: torch.Tensor | None
    same_conditions: torch.Tensor | None = None
    unknown: str = ""


@dataclass(frozen=True)
class LogitsPair:
    """Logits of the tokens of the probes, (tokens, vocabulary)."""

    observed: torch.Tensor
    expected: torch.Tensor


@dataclass(frozen=True)
class ResumedTraining:
    """A short training, and the same one interrupted and resumed.

    Attributes:
        whole: adapter of the training that is not interrupted.
        saved: the tensors of its folder.
        after: steps of the other one before it is interrupted.
        resumed: adapter of the other one; None where it was not resumed.
        refusal: why the implementation does not resume.
    """

    whole: Mapping[str, torch.Tensor]
    saved: Mapping[str, torch.Tensor]
    after: int
    resumed: Mapping[str, torch.Tensor] | None = None
    refusal: str = ""

    @property
    def is_saved_as_trained(self) -> bool:
        """Whether what can be resumed is what was trained."""
        return all(torch.equal(tensor, self.saved.get(name, tensor)) for name, tensor in self.whole.items())


@dataclass(frozen=True)
class SavedFiles:
    """The folder that training leaves.

    Attributes:
        tensor_files: names of its safetensors files.
        others: names of the other files.
        unreadable: why a safetensors file cannot be read; empty where all can.
        tensors: how many tensors they hold.
    """

    tensor_files: tuple[str, ...]
    others: tuple[str, ...]
    unreadable: str = ""
    tensors: int = 0


@dataclass(frozen=True)
class WeightError:
    """How far a weight is from what it has to be.

    Attributes:
        error: norm of the difference.
        norm: of what it has to be.
        added: norm of what was added to the base's weight.
    """

    name: str
    error: float
    norm: float
    added: float = 0.0


@dataclass(frozen=True)
class DeltaError:
    """How far what a loaded Linear adds is from what was trained.

    Attributes:
        observed: norm of what it adds.
        expected: norm of what was trained.
        error: norm of their difference.
        rounded_with: norm of the base's weight where weight and addition were rounded as one sum, else 0.
    """

    name: str
    observed: float
    expected: float
    error: float
    rounded_with: float


@dataclass(frozen=True)
class NamedBase:
    """The base that the saved configuration names.

    Attributes:
        name: as it is saved.
        trained: name of the base that was trained.
        missing: why no base of that name is found; empty where one is.
        is_the_trained: whether its weights are those of the trained one.
    """

    name: str
    trained: str
    missing: str = ""
    is_the_trained: bool = False


@dataclass(frozen=True)
class RotaryError:
    """How far the rotary embeddings of a module are from those computed in fp32.

    Attributes:
        frequency: largest error of a frequency, as a share of its value.
        cosine, sine: largest error at the last position.
        last: that position.
    """

    name: str
    frequency: float
    cosine: float
    sine: float
    last: int


@dataclass(frozen=True)
class ModelChange:
    """What differs in a model after it has answered; `name` is that of the module or tensor."""

    observed: str
    expected: str
    name: str
