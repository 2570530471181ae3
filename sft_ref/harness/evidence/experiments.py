"""The swap experiments: one stage of the fine-tune within the reference's pipeline, or the reverse."""

from __future__ import annotations

from dataclasses import dataclass

import torch

Right = tuple[bool, ...]
"""For each fresh question, whether its answer is right."""


@dataclass(frozen=True)
class PairedLosses:
    """Observed and expected losses of the same rows."""

    observed: torch.Tensor
    expected: torch.Tensor


@dataclass(frozen=True)
class PromptSwap:
    """The prompts that are sent and those of training, answered by the same sound models.

    Attributes:
        sent, trained: for each question, whether the sound model answers it correctly with either prompt; None if it
            was not asked.
        losses: losses of the true answer with either prompt, for each model that was trained on the training prompts.
        not_compared: why there are no losses.
    """

    sent: Right | None
    trained: Right | None
    losses: tuple[PairedLosses, ...]
    not_compared: str


@dataclass(frozen=True)
class TrainingSwap:
    """The trained adapter, and the reference trained on the same batches with the same learning rates.

    Attributes:
        answer_losses: losses of the true answers by the trained adapter, in nat per token.
        replayed_answer_losses: the same by the replay; None if there is no replay.
        losses, replayed_losses, base_losses: losses of the supervised tokens of training texts by the trained adapter,
            the replay and the base model.
    """

    answer_losses: torch.Tensor
    replayed_answer_losses: torch.Tensor | None = None
    losses: torch.Tensor | None = None
    replayed_losses: torch.Tensor | None = None
    base_losses: torch.Tensor | None = None


@dataclass(frozen=True)
class GenerationSwap:
    """Fresh questions answered by the loaded adapter with the reference's generation and with the fine-tune's.

    Attributes:
        own: results of the fine-tune's whole pipeline.
        reference: results with the reference's generation and parser.
        written: results of the fine-tune's completions with the reference's parser.
    """

    own: Right
    reference: Right
    written: Right


@dataclass(frozen=True)
class Experiments:
    """The results of the swap experiments. A result is None if its experiment was not needed.

    Attributes:
        own: for each fresh question, whether the fine-tune's whole pipeline answers it correctly.
        answer_rate, accuracy: shares of the fresh questions that get an answer, and the right answer.
        trained_adapter: results of the trained adapter, asked by the reference with its training prompts up to the
            number.
        trained_adapter_as_sent: results of the trained adapter with the prompts that are sent.
        trained_adapter_as_trained: results of the trained adapter with its training prompts.
        with_sound_adapter: results of the fine-tune's pipeline with a sound adapter instead of its own.
        reference: results of the reference, trained in the same convention.
        reference_as_sent: results of that reference with the prompts that are sent.
        prompts, training, generation: see the classes `PromptSwap`, `TrainingSwap` and `GenerationSwap`.
        lead_losses: losses of the tokens between prompt and first label, by the trained adapter and by the reference.
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
