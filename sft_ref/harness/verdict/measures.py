"""The numbers that clear a stage."""

from __future__ import annotations

from collections.abc import Callable

from sft_ref.harness.core.findings import Blocked, Unavailable
from sft_ref.harness.evidence import Evidence
from sft_ref.harness.evidence.wording import pair_prompts
from sft_ref.harness.instruments.answering import number
from sft_ref.harness.recorders.submission.scripted_results import count_scripted


def measure(stage: str, evidence: Evidence) -> str:
    """What was measured of a stage at which nothing was found, in a few words with numbers; empty where nothing was."""
    try:
        return _MEASURES[stage](evidence)
    except (Unavailable, Blocked):
        return ""


def _prompt(evidence: Evidence) -> str:
    pairs = [(text, prompt) for text, prompt in pair_prompts(evidence.prompts, evidence.examples) if prompt.ids]
    same = sum(text.ids[: len(prompt.ids)] == prompt.ids for text, prompt in pairs)
    return f"{same} of {len(pairs)} prompts are where the training text leaves off" if pairs else ""


def _tokens(evidence: Evidence) -> str:
    answered = [text for text in evidence.examples.texts if text.is_answered]
    whole = sum(text.labels[text.begin : text.end] == text.ids[text.begin : text.end] for text in answered)
    return f"{whole} of {len(answered)} answers seen in training are labelled whole" if answered else ""


def _train(evidence: Evidence) -> str:
    form, experiments, steps = evidence.examples.form, evidence.experiments, len(evidence.training.steps)
    right = experiments.trained_adapter_as_trained
    if right is None or form is None or not form.is_regular:
        return f"{steps} steps, after which its own answers are right {experiments.accuracy:.0%} of the time"
    return (
        f"{steps} steps; asked by ours with its training prompts, its adapter answers {sum(right)} of "
        f"{len(right)} rightly"
    )


def _artifact(evidence: Evidence) -> str:
    tensors = len(evidence.training.adapter)
    return f"{tensors} tensors are saved as they were trained" if evidence.artifact.is_saved_right else ""


def _load(evidence: Evidence) -> str:
    compared = evidence.loaded.comparison
    if evidence.training.is_custom_lora or evidence.artifact.is_custom_form:  # the reference cannot load it
        return ""
    if compared is None or compared.observed is None or compared.expected is None:
        return ""
    own, due = compared.observed.mean(), compared.expected.mean()
    return f"texts of training cost {own:.3f} nat a token in its model, {due:.3f} in the same adapter loaded by ours"


def _generate(evidence: Evidence) -> str:
    said, whole, _ = count_scripted(evidence)
    return f"{whole} of {said} numbers that the model was made to say reach the parser whole" if said else ""


def _parse(evidence: Evidence) -> str:
    said, _, given = count_scripted(evidence)
    return f"{given} of {said} numbers that the model was made to say were read rightly" if said else ""


def _score(evidence: Evidence) -> str:
    figures = evidence.scores.figures or {}
    told = [f"{name} {number(found[-1]):.2f}" for name, found in figures.items() if found]
    return f"{' and '.join(told)} of a benchmark laid down are reported as counted by us" if told else ""


_MEASURES: dict[str, Callable[[Evidence], str]] = {
    "prompt": _prompt,
    "tokens": _tokens,
    "train": _train,
    "artifact": _artifact,
    "load": _load,
    "generate": _generate,
    "parse": _parse,
    "score": _score,
}
