"""The swap experiments on a submission; each runs only if answers or learning are in doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from sft_ref.harness.core.findings import Unavailable
from sft_ref.harness.core.paired import are_conclusive
from sft_ref.harness.evidence.answering import Generations, Prompts
from sft_ref.harness.evidence.experiments import (
    Experiments,
    GenerationSwap,
    PairedLosses,
    PromptSwap,
    Right,
    TrainingSwap,
)
from sft_ref.harness.evidence.submission.wording import mismatched_prompts, omitted_template, unlabelled_lead
from sft_ref.harness.evidence.training import Examples
from sft_ref.harness.instruments.answering import complete, read_number, right, value_losses
from sft_ref.harness.instruments.encoding import decode
from sft_ref.harness.instruments.losses import text_losses
from sft_ref.reference.tokens import IGNORE_INDEX

from .prompts import compare_prompts
from .recording import Recording

_LEADS = 64
"""Number of training texts whose leads are compared."""


def run_swaps(recording: Recording, prompts: Prompts, examples: Examples, generations: Generations) -> Experiments:
    """Runs every experiment that the verdict needs, in the order of the stages."""
    answer_rate, accuracy = recording.scores
    own = _right(recording, recording.answers(recording.asked))
    lead_losses = _swap_lead(recording, examples)
    with_sound_adapter = reference = reference_as_sent = None
    if recording.with_adapter is not recording.asked:
        with_sound_adapter = _right(recording, recording.answers(recording.with_adapter))
    if recording.is_good:
        return Experiments(own, answer_rate, accuracy, with_sound_adapter=with_sound_adapter, lead_losses=lead_losses)
    trained = recording.trained_model
    if with_sound_adapter is not None:
        reference = tuple(recording.sound_adapter_correct)
        reference_as_sent = tuple(recording.correct_with_sent_prompts(recording.sound_model))
    return Experiments(
        own=own,
        answer_rate=answer_rate,
        accuracy=accuracy,
        trained_adapter=None if trained is None else tuple(recording.trained_adapter_correct),
        trained_adapter_as_sent=None if trained is None else tuple(recording.correct_with_sent_prompts(trained)),
        trained_adapter_as_trained=None if trained is None else tuple(recording.correct_with_training_prompts),
        with_sound_adapter=with_sound_adapter,
        reference=reference,
        reference_as_sent=reference_as_sent,
        prompts=_swap_prompts(recording, prompts, examples),
        training=_swap_training(recording),
        generation=_swap_generation(recording, generations),
        lead_losses=lead_losses,
    )


def _right(recording: Recording, answers: Sequence[object]) -> Right:
    return tuple(right(answers, recording.questions))


def _swap_prompts(recording: Recording, prompts: Prompts, examples: Examples) -> PromptSwap | None:
    """Compares sent and training prompts if they differ: by answers if conclusive, else by losses of true answers."""
    if prompts.any_lost is not None:
        return None
    try:
        if not mismatched_prompts(prompts, examples) and not omitted_template(prompts, examples):
            return None
    except Unavailable:
        return None
    swap = PromptSwap(None, None, (), "")
    model = recording.sound_model
    sent = [prompt.ids for prompt in prompts.fresh if prompt is not None and prompt.ids]
    if model is not None and len(sent) == len(prompts.fresh):
        swap = PromptSwap(
            _rightly_continued(recording, model, sent), _right(recording, recording.reference_answers(model)), (), ""
        )
    if swap.sent and swap.trained and are_conclusive(swap.sent, swap.trained):
        return swap
    own = recording.trained_model if recording.trained_model is not None and recording.has_moved else None
    models = [each for each in (own, recording.reference_model) if each is not None]
    try:
        losses = [PairedLosses(*compare_prompts(recording, model)) for model in models]
    except Unavailable as reason:
        return PromptSwap(swap.sent, swap.trained, (), str(reason))
    return PromptSwap(
        swap.sent, swap.trained, tuple(losses), "" if losses else "no model with its convention could be trained"
    )


def _rightly_continued(recording: Recording, model: Any, prompts: Sequence[Sequence[int]]) -> Right:  # noqa: ANN401
    """Returns which prompts are answered rightly and with training's text before the number, tags included."""
    convention = recording.convention
    if convention is None:
        raise Unavailable("the format of its answers is unknown")
    texts = complete(model, recording.tokenizer, prompts)
    answered = _right(recording, [read_number(text, convention) for text in texts])
    led = []
    for (question, _), prompt, text in zip(recording.questions, prompts, texts, strict=True):
        lead, sent = convention.lead(question), decode(recording.tokenizer, prompt)
        if lead.startswith(sent):
            led.append(text.strip().startswith(lead[len(sent) :].strip()))
        else:  # another text: the last word that training puts before the number must come
            led.append(all(word in text for word in recording.supervised_lead.split()[-1:]))
    return tuple(one and other for one, other in zip(answered, led, strict=True))


def _swap_lead(recording: Recording, examples: Examples) -> PairedLosses | None:
    """Compares losses of unlabelled tokens before the answer, if any, in the trained model and the reference."""
    try:
        texts = unlabelled_lead(examples)
    except Unavailable:
        return None
    if not texts or recording.trained_model is None or recording.reference_model is None:
        return None
    losses = []
    for model in (recording.trained_model, recording.reference_model):
        each = text_losses(model, [text.ids for text in texts[:_LEADS]])
        begins = [text.first_label or 0 for text in texts[:_LEADS]]
        leads = [row[at - examples.unlabelled_lead - 1 : at - 1] for row, at in zip(each, begins, strict=True)]
        losses.append(torch.stack([lead.mean() for lead in leads]))
    return PairedLosses(*losses)


def _swap_training(recording: Recording) -> TrainingSwap | None:
    """Compares the trained adapter with a replay of its training, on fresh questions, if learning is in doubt."""
    model, convention = recording.trained_model, recording.convention
    if recording.has_learned or recording.is_custom_lora or model is None or convention is None:
        return None
    answered = [text for text in recording.texts if text.is_answered]
    bare = sum(IGNORE_INDEX in text.example.labels[text.begin : text.end] for text in answered)
    if not answered or bare > len(answered) / 2 or not _has_moved(recording.trained):
        return None

    def losses(each: Any) -> torch.Tensor:  # noqa: ANN401
        return value_losses(each, recording.tokenizer, recording.questions, convention)

    replayed = recording.replayed
    if replayed is None:
        return TrainingSwap(losses(model))
    supervised = [recording.supervised_losses(each) for each in (model, replayed, recording.base_model)]
    return TrainingSwap(losses(model), losses(replayed), *supervised)


def _swap_generation(recording: Recording, generations: Generations) -> GenerationSwap | None:
    """Tests the same adapter with the reference's generation; None if all generated tokens are the argmax."""
    model, result = recording.evaluated_model, recording.with_adapter
    rows = generations.answers.generations if generations.answers else ()
    if model is None or not any(row.unlikely for row in rows):
        return None
    return GenerationSwap(
        own=_right(recording, recording.answers(result)),
        reference=_right(recording, recording.reference_answers(model)),
        written=tuple(recording.written_right(result)),
    )


def _has_moved(adapter: Mapping[str, torch.Tensor]) -> bool:
    """Returns whether an adapter is finite and nonzero; otherwise there is nothing to compare."""
    ups = [tensor for name, tensor in adapter.items() if "lora_B" in name]
    return all(tensor.isfinite().all() for tensor in adapter.values()) and any(tensor.any() for tensor in ups)
