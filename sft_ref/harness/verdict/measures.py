"""The numbers that clear a stage."""

from __future__ import annotations

from collections.abc import Callable

from sft_ref.harness.core.findings import Blocked, Unavailable
from sft_ref.harness.instruments.answering import number
from sft_ref.harness.recorders.submission.evidence import Evidence
from sft_ref.harness.recorders.submission.scripted_results import count_scripted


def measure(stage: str, evidence: Evidence) -> str:
    """What was measured of a stage at which nothing was found, in a few words with numbers; empty where nothing was."""
    try:
        return _MEASURES[stage](evidence)
    except (Unavailable, Blocked):
        return ""


def _prompt(evidence: Evidence) -> str:
    prompts = evidence.prompts(evidence.asked, evidence.known_rows)
    pairs = [(text, prompt) for text, prompt in zip(evidence.texts, prompts, strict=False) if prompt]
    same = sum(text.taught.ids[: len(prompt)] == prompt for text, prompt in pairs)
    return f"{same} of {len(pairs)} prompts are where the training text leaves off" if pairs else ""


def _tokens(evidence: Evidence) -> str:
    answered = [text for text in evidence.texts if text.is_answered]
    whole = sum(
        text.taught.labels[text.begin : text.end] == text.taught.ids[text.begin : text.end] for text in answered
    )
    return f"{whole} of {len(answered)} answers seen in training are labelled whole" if answered else ""


def _train(evidence: Evidence) -> str:
    if evidence.is_good or evidence.trained_model is None or not evidence.writes_alike:
        return (
            f"{len(evidence.steps)} steps, after which its own answers are right {evidence.scores[1]:.0%} of the time"
        )
    right = sum(evidence.right_as_trained)
    return (
        f"{len(evidence.steps)} steps; asked by ours with its training prompts, its adapter answers {right} of "
        f"{len(evidence.questions)} rightly"
    )


def _artifact(evidence: Evidence) -> str:
    return f"{len(evidence.trained)} tensors are saved as they were trained" if evidence.is_saved_right else ""


def _load(evidence: Evidence) -> str:
    told = evidence.with_adapter
    found = told.tensors("probes").get("logits")
    model = evidence.asked_model
    if found is None or model is None or not evidence.probed:
        return ""
    own, due = evidence.probe_losses(found).mean(), evidence.probe_losses(evidence.probe_logits(model)).mean()
    return f"texts of training cost {own:.3f} nat a token in its model, {due:.3f} in the same adapter loaded by ours"


def _generate(evidence: Evidence) -> str:
    said, whole, _ = count_scripted(evidence)
    return f"{whole} of {said} numbers that the model was made to say reach the parser whole" if said else ""


def _parse(evidence: Evidence) -> str:
    said, _, given = count_scripted(evidence)
    return f"{given} of {said} numbers that the model was made to say were read rightly" if said else ""


def _score(evidence: Evidence) -> str:
    figures = evidence.with_adapter["score"].get("metrics", {})
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
