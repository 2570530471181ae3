"""Formats the measurements that clear a stage."""

from __future__ import annotations

from collections.abc import Callable

from sft_ref.harness.core.findings import Blocked, Unavailable
from sft_ref.harness.core.numerals import number
from sft_ref.harness.evidence import Evidence
from sft_ref.harness.evidence.submission.scripted_results import count_scripted
from sft_ref.harness.evidence.submission.wording import pair_prompts


def measure(stage: str, evidence: Evidence) -> str:
    """Describes the measurement of a stage without a fault in a few words; empty if nothing was measured."""
    try:
        return _MEASURES[stage](evidence)
    except (Unavailable, Blocked):
        return ""


def _prompt(evidence: Evidence) -> str:
    pairs = [(text, prompt) for text, prompt in pair_prompts(evidence.prompts, evidence.examples) if prompt.ids]
    same = sum(text.ids[: len(prompt.ids)] == prompt.ids for text, prompt in pairs)
    return f"{same} of {len(pairs)} prompts are prefixes of the training text" if pairs else ""


def _tokens(evidence: Evidence) -> str:
    answered = [text for text in evidence.examples.texts if text.is_answered]
    whole = sum(text.labels[text.begin : text.end] == text.ids[text.begin : text.end] for text in answered)
    return f"{whole} of {len(answered)} answers seen in training are labelled completely" if answered else ""


def _train(evidence: Evidence) -> str:
    form, experiments, steps = evidence.examples.form, evidence.experiments, len(evidence.training.steps)
    right = experiments.trained_adapter_as_trained
    if right is None or form is None or not form.is_regular:
        return f"{steps} steps, after which its own answers are right {experiments.accuracy:.0%} of the time"
    return (
        f"{steps} steps; with its training prompts and the reference's generation, its adapter answers {sum(right)} of "
        f"{len(right)} rightly"
    )


def _artifact(evidence: Evidence) -> str:
    tensors = len(evidence.training.adapter)
    return f"{tensors} tensors are saved as they were trained" if evidence.artifact.is_saved_right else ""


def _load(evidence: Evidence) -> str:
    compared = evidence.loaded.comparison
    if evidence.training.is_custom_lora or evidence.artifact.is_custom_form:  # the reference cannot load the adapter
        return ""
    if compared is None or compared.observed is None or compared.expected is None:
        return ""
    own, due = compared.observed.mean(), compared.expected.mean()
    return (
        f"training texts have a loss of {own:.3f} nat a token; the reference loads the same adapter and gets {due:.3f}"
    )


def _generate(evidence: Evidence) -> str:
    scripted, whole, _ = count_scripted(evidence)
    return f"{whole} of {scripted} scripted numbers reach the parser whole" if scripted else ""


def _parse(evidence: Evidence) -> str:
    scripted, _, parsed = count_scripted(evidence)
    return f"{parsed} of {scripted} scripted numbers are parsed rightly" if scripted else ""


def _score(evidence: Evidence) -> str:
    figures = evidence.scores.figures or {}
    reported = [f"{name} {number(found[-1]):.2f}" for name, found in figures.items() if found]
    return f"{' and '.join(reported)} are reported, as counted from its scripted answers" if reported else ""


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
