"""All that is observed of one fine-tune."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sft_ref.harness.core.sizes import SizeLimits

from .answering import Generations, Loaded, Parsed, Prompts, Scores
from .artifact import Artifact
from .experiments import Experiments
from .training import Examples, Training

GOOD = 0.8
"""Accuracy on fresh questions from which on nothing is thought to be lost on a base that can reach it."""


@dataclass(frozen=True)
class Evidence:
    """A part per stage, in the order in which a question passes them, and the swap experiments.

    A stage that could not be observed says so in its own part; nothing that reads evidence changes it.

    Attributes:
        prompts: that reach the model.
        examples: of training.
        training: what it does and leaves.
        artifact: what is saved.
        loaded: the model that answers.
        generations: what it writes.
        parsed: the parser, called by itself.
        scores: what testing reports.
        experiments: the swap experiments.
        limits: of size; none unless somebody sets them.
        notes: how it was run.
        is_sandboxed: whether it ran where it could do no harm.
        user_paths: paths of the recording -> what the user knows them by.
        errors: what broke in the harness, each a clause.
    """

    prompts: Prompts
    examples: Examples
    training: Training
    artifact: Artifact
    loaded: Loaded
    generations: Generations
    parsed: Parsed
    scores: Scores
    experiments: Experiments
    limits: SizeLimits
    notes: tuple[str, ...]
    is_sandboxed: bool
    user_paths: Mapping[str, str]
    errors: tuple[str, ...] = ()

    @property
    def answers_survive(self) -> bool:
        """Whether the answers to fresh questions leave nothing to be desired."""
        return self.experiments.accuracy >= GOOD
