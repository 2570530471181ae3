"""Checks of the stage load: the model that answers at inference."""

from __future__ import annotations

import math

import torch

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.evidence import Evidence


@check(
    "LOD-101",
    "Loading returns a model",
    why="A model that cannot be loaded answers nothing.",
    remedy="Fix the line that the traceback names.",
)
def load_runs(evidence: Evidence) -> None:
    """LOD-101: Loads in a separate process, with a sound adapter if training left none."""
    loaded = evidence.loaded
    if loaded.crash and evidence.training.crash and not loaded.with_sound_adapter and not evidence.artifact.places:
        raise Blocked("training crashed, and left nothing to load")
    if loaded.crash:
        raise Failure(f"loading raises {loaded.crash.description}", "no exception", loaded.crash.place)
    if not loaded.was_reached:
        raise Failure(f"loading {loaded.process.ended_early}", "a model", loaded.process.output)


@check(
    "LOD-105",
    "The model is in evaluation mode at inference",
    why="Active dropout changes answers from call to call.",
    remedy="Call model.eval() after loading.",
    depends_on=("LOD-101",),
    source="A10",
)
def model_is_in_evaluation_mode(evidence: Evidence) -> None:
    """LOD-105: Compares two forward passes over the same texts; passes if answers are good, since nothing is lost."""
    apart = _apart_twice(evidence)
    if apart > 0 and not evidence.answers_survive:
        raise Failure(_how_far(apart), "equal logits")


@check(
    "LOD-106",
    "Two forward passes over the same texts give identical logits",
    level=Level.CONTRACT,
    why="Active dropout changes answers from call to call.",
    remedy="Call model.eval() after loading.",
    depends_on=("LOD-105",),
)
def forwards_are_equal(evidence: Evidence) -> None:
    """LOD-106: Compares exactly."""
    apart = _apart_twice(evidence)
    if apart > 0:
        raise Failure(_how_far(apart), "equal logits")


@check(
    "LOD-107",
    "Loading works from any working directory",
    level=Level.CONTRACT,
    why="A path relative to the working directory points elsewhere if somebody else runs the code.",
    remedy="Build the path from Path(__file__).",
    depends_on=("LOD-101",),
    source="S9",
)
def load_works_elsewhere(evidence: Evidence) -> None:
    """LOD-107: Loads from an empty working directory."""
    if not evidence.loaded.elsewhere_tried:
        raise Unavailable("loading from another working folder was not tried")
    if crash := evidence.loaded.elsewhere_crash:
        raise Failure(
            f"loading from another folder raises {crash.type}: {crash.message[:200]}", "a model", "an empty folder"
        )


@check(
    "LOD-109",
    "The loaded base is the trained one",
    why="An adapter fits only the model it was trained on; on another one it crashes or gives noise.",
    remedy="Define the name of the base once, and use it wherever the base is loaded.",
    depends_on=("LOD-101",),
)
def base_is_the_one_trained(evidence: Evidence) -> None:
    """LOD-109: Compares the requested names, since the harness substitutes one model for all of them."""
    trained, loaded = evidence.training.bases, evidence.loaded.own_bases
    if not trained or not loaded:
        raise Unavailable("the name of the base was not observed both in training and on loading")
    if not loaded.keys() & trained.keys():
        raise Failure(f"the loaded base is {', '.join(loaded)}", ", ".join(trained), "names given to from_pretrained")


@check(
    "LOD-110",
    "As many adapters are active at inference as at the end of training",
    why="Adapters that are trained together add up; without one of them, its part of the answer is missing.",
    remedy="Load every adapter (model.load_adapter(folder, adapter_name=...)) and activate all of them, or merge them.",
    depends_on=("LOD-101",),
)
def all_adapters_are_loaded(evidence: Evidence) -> None:
    """LOD-110: Counts adapters that add something; adapters merged into the base cannot be seen."""
    trained, loaded = evidence.training.active, evidence.loaded.own_active
    if len(trained) < 2:  # noqa: PLR2004
        return
    if not loaded:
        raise Unavailable("the loaded model has no adapter of peft's: they may be merged")
    if len(loaded) < len(trained):
        seen = (
            f"{len(trained)} adapters are active at the end of training ({', '.join(trained)}), but {len(loaded)} at"
            f" inference ({', '.join(loaded)})"
        )
        raise Failure(seen, f"{len(trained)}")


@check(
    "LOD-111",
    "Added tokens have the same embedding rows at inference as in training",
    why="An added token has its own embedding row; if it is not saved, a random one is drawn on loading.",
    remedy="Save the rows: save_pretrained(folder, save_embedding_layers=True), or modules_to_save=['embed_tokens'].",
    depends_on=("LOD-101",),
)
def added_rows_are_saved(evidence: Evidence) -> None:
    """LOD-111: Compares embedding and output rows of added tokens that occur in training texts."""
    used, loaded = evidence.examples.used_rows, evidence.loaded
    if not used:
        return
    if not loaded.trained_rows:
        raise Unavailable("the rows of added tokens were not observed both in training and when answering")
    apart = {
        row
        for name, rows in loaded.trained_rows.items()
        for row, trained, found in zip(used, rows, loaded.loaded_rows[name], strict=True)
        if not torch.allclose(trained, found, rtol=2.0**-6, atol=1e-3)
    }
    if apart:
        seen = (
            f"the rows of {len(apart)} of {len(used)} added tokens are not those of training, since they are not saved"
        )
        first = [evidence.examples.base_rows + row for row in sorted(apart)[:3]]
        raise Failure(seen, "the rows at the end of training", f"ids {first}")


def _apart_twice(evidence: Evidence) -> float:
    """Returns the difference between the logits of two forward passes over the same texts.

    Raises:
        Unavailable: the logits were not compared, or are not finite.
    """
    if math.isnan(evidence.loaded.forwards_apart):
        raise Unavailable("two forward passes of its model could not be compared")
    return evidence.loaded.forwards_apart


def _how_far(apart: float) -> str:
    return f"logits differ by {apart:.3g} between two forward passes over the same texts, as with active dropout"
