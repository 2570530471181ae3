"""The swap experiments: one stage of the fine-tune in a chain that is otherwise the reference's, or the reverse."""

from __future__ import annotations

from dataclasses import dataclass

import torch

Right = tuple[bool, ...]
"""For each fresh question, whether it is answered rightly."""


@dataclass(frozen=True)
class PairedLosses:
    """Losses of the same rows: as observed, and as they are expected."""

    observed: torch.Tensor
    expected: torch.Tensor


@dataclass(frozen=True)
class PromptSwap:
    """The prompts that are sent against those of training, answered by the same sound models.

    Attributes:
        sent, trained: which questions the sound model answers rightly behind either; None where they were not asked.
        losses: of the true answer behind either prompt, for each model that knows the prompts of training.
        not_compared: why there are no losses.
    """

    sent: Right | None
    trained: Right | None
    losses: tuple[PairedLosses, ...]
    not_compared: str


@dataclass(frozen=True)
class TrainingSwap:
    """What training left against the reference trained on the same batches at the same rates.

    Attributes:
        answer_losses: of the true answers by what training left, in nat a token.
        replayed_answer_losses: by the replay; None where there is no replay.
        losses, replayed_losses, base_losses: of what texts of training teach.
    """

    answer_losses: torch.Tensor
    replayed_answer_losses: torch.Tensor | None = None
    losses: torch.Tensor | None = None
    replayed_losses: torch.Tensor | None = None
    base_losses: torch.Tensor | None = None


@dataclass(frozen=True)
class GenerationSwap:
    """Fresh questions answered by the loaded adapter with the reference's generation, and by the fine-tune's own.

    Attributes:
        own: by the whole chain.
        reference: with the reference's generation and parser.
        written: by what its model wrote, read by the reference.
    """

    own: Right
    reference: Right
    written: Right


@dataclass(frozen=True)
class Experiments:
    """What the swap experiments measure. Each is None where it was not needed.

    Attributes:
        own: which fresh questions the whole chain answers rightly.
        answer_rate, accuracy: the same in shares.
        trained_adapter: by what training left, asked by the reference with its training prompts up to the number.
        trained_adapter_as_sent: by the same, behind the prompts that are sent.
        trained_adapter_as_trained: by the same, behind its training prompts.
        with_sound_adapter: by the chain, with a sound adapter in place of its own.
        reference: by the reference, trained in the same convention.
        reference_as_sent: by the same, behind the prompts that are sent.
        prompts, training, generation: see there.
        lead_losses: of the tokens between prompt and first label: by what training left, and by the reference.
    """

    own: Right
    answer_rate: float
    accuracy: float
    trained_adapter: Right | None = None
    trained_adapter_as_sent: Right | None = None
    trained_adapter_as_trained: Right | None = None
    with_sound_adapter: Right | None = None
    reference: Right | None = None
    reference_as_sent: Right | None = None
    prompts: PromptSwap | None = None
    training: TrainingSwap | None = None
    generation: GenerationSwap | None = None
    lead_losses: PairedLosses | None = None
