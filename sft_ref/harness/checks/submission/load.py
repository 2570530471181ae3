"""Checks of load: what answers in the end."""

from __future__ import annotations

import math

import torch

from sft_ref.harness.core.check import Check, Level, check
from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.instruments import tolerance
from sft_ref.harness.instruments.answering import number
from sft_ref.harness.instruments.losses import compare, is_worse
from sft_ref.harness.recorders.submission.captured import named_bases
from sft_ref.harness.recorders.submission.evidence import Evidence
from sft_ref.harness.recorders.submission.workplace import Told

from .artifact import name_place, saved_place


@check(
    "LOD-101",
    "Loading returns a model",
    why="A model that cannot be loaded answers nothing.",
    remedy="Fix the line that the traceback names.",
)
def load_runs(evidence: Evidence) -> None:
    """LOD-101: in a process of its own; with an adapter of ours where training left none."""
    told = evidence.with_adapter
    crash = told.crash("load")
    if crash and evidence.training.crash("train") and evidence.again is None and not evidence.saved:
        raise Blocked("training crashed, and left nothing to load")
    if crash:
        raise Failure(told.describe(crash), "no exception", crash["where"] or crash["trace"][-300:])
    if "load" not in told.sections:
        raise Failure(f"loading {told.ended_early}", "a model", told.finished.output[-300:])


@check(
    "LOD-102",
    "The loaded model gives training texts the same loss as the saved adapter",
    why="An adapter that is dropped, untrained, applied twice or scaled differently is not the trained one.",
    remedy="Call PeftModel.from_pretrained(base, folder) once, on the base of the training, and keep what it returns.",
    depends_on=("LOD-101",),
    source="A7, A8, S1",
    core=True,
)
def what_answers_is_what_was_saved(evidence: Evidence) -> str | None:
    """LOD-102: the same texts through its model and through ours; how far that is from the bare base."""
    found, due, base = _logits(evidence)
    if not due.isfinite().all():
        raise Blocked("what training left has logits that are not finite: TRN-102 says so")
    if not found.isfinite().all():
        raise Unavailable("its logits are not finite, which LOD-108 says")
    own, ours, bare = (evidence.probe_losses(each) for each in (found, due, base))
    if is_worse(own, ours):
        near = " (that of the bare base)" if abs(own.mean() - bare.mean()) < tolerance.LOSS else ""
        seen = f"{own.mean():.3f} nat a token{near}, {compare(own, ours)} against the adapter loaded by ours"
        case = f"largest change of a logit {_apart(found, due):.3g}"
        raise Failure(seen, f"{ours.mean():.3f}", case, survived=evidence.is_of_own_kind and evidence.is_good)
    return None


@check(
    "LOD-103",
    "The loaded model has the trained dtypes",
    level=Level.CONTRACT,
    why="In another precision than in training, the model computes other numbers.",
    remedy="Pass the same dtype explicitly wherever the base is loaded, for training and for inference.",
    depends_on=("LOD-101",),
    source="P19, P22, NC1",
)
def dtypes_are_those_trained(evidence: Evidence) -> None:
    """LOD-103: of the base's parameters."""
    trained = set(evidence.lessons.get("dtype_counts", {}).get("base", {}))
    loaded = set(evidence.asked["probes"].get("dtype_counts", {}).get("base", {}))
    if not trained or not loaded:
        raise Unavailable("the dtypes of one of both were not seen")
    if trained != loaded:
        raise Failure(f"{_names(loaded)} when answering", f"{_names(trained)}, as in training")


@check(
    "LOD-104",
    "Loading and testing leave the saved adapter unchanged",
    why="A load that writes destroys what was trained.",
    remedy="Write to the adapter folder in training only.",
    depends_on=("ART-101",),
    source="S1",
)
def saved_adapter_is_left_alone(evidence: Evidence) -> None:
    """LOD-104: the file's bytes before and after."""
    evidence.asked  # noqa: B018  # it comes between
    place = saved_place(evidence)
    before, after = evidence.fingerprint(evidence.saved[place], ()), evidence.left[place]
    if before != after:
        raise Failure("another file" if after else "no file any more", "the same file", name_place(evidence, place))


@check(
    "LOD-105",
    "The model is in evaluation mode at inference",
    why="Active dropout changes answers from call to call.",
    remedy="Call model.eval() after loading.",
    depends_on=("LOD-101",),
    source="A10",
)
def model_is_in_evaluation_mode(evidence: Evidence) -> None:
    """LOD-105: two forwards of the same texts. Where answers are all there, nothing is lost."""
    apart = _apart_twice(evidence)
    if apart > 0 and not evidence.is_good:
        raise Failure(f"logits apart by {apart:.3g} in two forwards of the same texts", "equal logits")


@check(
    "LOD-106",
    "Two forward passes over the same texts give identical logits",
    level=Level.CONTRACT,
    why="Active dropout changes answers from call to call.",
    remedy="Call model.eval() after loading.",
    depends_on=("LOD-105",),
)
def forwards_are_equal(evidence: Evidence) -> None:
    """LOD-106: exact."""
    apart = _apart_twice(evidence)
    if apart > 0:
        raise Failure(f"logits apart by {apart:.3g}", "equal logits")


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
    """LOD-107: from an empty one."""
    told = evidence.with_adapter
    crash = told.crash("other_folder")
    if not told["other_folder"]:
        raise Unavailable("loading from another working folder was not tried")
    if crash:
        raise Failure(f"{crash['type']}: {crash['message'][:200]}", "a model", "from an empty working folder")


@check(
    "LOD-108",
    "Every logit of the loaded model is finite",
    why="After one NaN or infinity, all tokens look equally good to the model, and all answers are NaN.",
    remedy="Load in bfloat16 or float32: activations of a model that was trained in them overflow in float16.",
    depends_on=("LOD-101",),
    source="P1",
)
def logits_are_finite(evidence: Evidence) -> None:
    """LOD-108: of texts of training, where those of the same adapter loaded by ours are finite."""
    found, due, _ = _logits(evidence)
    lost = (~found.isfinite()).any(-1)
    if lost.any() and due.isfinite().all():
        dtypes = _names(set(evidence.with_adapter["probes"].get("dtype_counts", {}).get("base", {})))
        raise Failure(f"NaN or infinity for {int(lost.sum())} of {len(lost)} tokens", "none", f"a base in {dtypes}")


@check(
    "LOD-109",
    "The loaded base is the trained one",
    why="An adapter fits only the model it was trained on; on another one it crashes or gives noise.",
    remedy="Define the name of the base once, and use it wherever the base is loaded.",
    depends_on=("LOD-101",),
)
def base_is_the_one_trained(evidence: Evidence) -> None:
    """LOD-109: by the names that it asks for, since here the same model stands for all."""
    trained, loaded = (
        named_bases(told["pretrained"].get("model_names", ())) for told in (evidence.training, evidence.asked)
    )
    if not trained or not loaded:
        raise Unavailable("the base is not named in both")
    if not set(loaded) & set(trained):
        raise Failure(", ".join(loaded), ", ".join(trained), "names given to from_pretrained")


@check(
    "LOD-110",
    "As many adapters are active at inference as at the end of training",
    why="Adapters that are trained together add up; without one of them, its part of the answer is missing.",
    remedy="Load every adapter (model.load_adapter(folder, adapter_name=...)) and activate all of them, or merge them.",
    depends_on=("LOD-101",),
)
def all_adapters_are_loaded(evidence: Evidence) -> None:
    """LOD-110: those that add anything. Where they are merged into the base, none is seen."""
    trained = list(map(str, evidence.lessons.get("active_adapters", ())))
    if len(trained) < 2:  # noqa: PLR2004
        return
    loaded = evidence.asked["probes"].get("active_adapters")
    if not loaded:
        raise Unavailable("the model that answers holds no adapter of peft's: they may be merged")
    if len(loaded) < len(trained):
        seen = (
            f"{len(trained)} adapters are active at the end of training ({', '.join(trained)}), and {len(loaded)} when"
            f" answering ({', '.join(map(str, loaded))})"
        )
        raise Failure(seen, "all of them")


@check(
    "LOD-111",
    "Added tokens have the same embedding rows at inference as in training",
    why="An added token has its own embedding row; if it is not saved, a random one is drawn on loading.",
    remedy="Save the rows: save_pretrained(folder, save_embedding_layers=True), or modules_to_save=['embed_tokens'].",
    depends_on=("LOD-101",),
)
def added_rows_are_saved(evidence: Evidence) -> None:
    """LOD-111: rows of embeddings and output, of added tokens that stand in training texts."""
    known = len(evidence.base_model.get_input_embeddings().weight)
    used = sorted({token - known for row in evidence.foreign for token in row.ids if token >= known})
    if not used:
        return
    trained, loaded = (told.tensors("added_token_rows") for told in (evidence.training, evidence.asked))
    if not trained or not loaded or max(used) >= min(len(rows) for rows in loaded.values()):
        raise Unavailable("the rows of added tokens were not seen both in training and when answering")
    apart = {
        token
        for name in trained
        for token in used
        if not torch.allclose(trained[name][token], loaded[name][token], rtol=2.0**-6, atol=1e-3)
    }
    if apart:
        seen = f"the rows of {len(apart)} of {len(used)} added tokens are not those of training: they are not saved"
        raise Failure(seen, "the rows that training left", f"ids {[known + token for token in sorted(apart)[:3]]}")


def _pair(evidence: Evidence) -> tuple[Told, torch.Tensor | None]:
    """What answered, and the logits that are due.

    Of its own adapter where that was learned and saved, or is not peft's; else of a sound one.
    """
    if evidence.is_of_own_kind or evidence.is_of_own_form:
        return evidence.asked, evidence.left_logits
    if evidence.is_saved_well and evidence.has_learned and evidence.place is not None:
        told, folder = evidence.asked, evidence.saved[evidence.place]
    elif evidence.again is not None and evidence.sound_folder is not None:
        told, folder = evidence.again, evidence.sound_folder
    elif evidence.place is not None:
        told, folder = evidence.asked, evidence.saved[evidence.place]
    else:
        raise Unavailable("there is no adapter to compare with")
    model = evidence.model_of(folder)
    return told, evidence.probe_logits(model) if model is not None else None


def _logits(evidence: Evidence) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of taught texts: by the model that answers, by the one that is due, and by the bare base."""
    if not evidence.probed:
        raise Unavailable("no text that the base's tokenizer knows reached the model in training")
    told, due = _pair(evidence)
    if due is None:
        raise Unavailable("the saved adapter cannot be loaded by ours")
    if told.crash("probes"):
        crash = told.crash("probes") or {}
        raise Failure(f"{crash['type']}: {crash['message']}", "logits", crash["where"])
    found = told.tensors("probes").get("logits")
    if found is None:
        raise Unavailable("no forward of its model was seen")
    base = evidence.probe_logits(evidence.base_model)
    if found.shape != due.shape:
        raise Failure(f"logits of shape {tuple(found.shape)}", tuple(due.shape), "another base, or another vocabulary")
    return found, due, base


def _apart_twice(evidence: Evidence) -> float:
    """How far logits of two forwards of the same texts are apart.

    Raises:
        Unavailable: they were not compared, or are not finite.
    """
    apart = number(evidence.asked["probes"].get("max_difference"))
    if math.isnan(apart):
        raise Unavailable("two forwards of its model could not be compared")
    return apart


def _apart(one: torch.Tensor, other: torch.Tensor) -> float:
    apart = (one - other).abs().max().item()
    return math.inf if math.isnan(apart) else apart


def _names(dtypes: set[str]) -> str:
    return ", ".join(sorted(name.removeprefix("torch.") for name in dtypes))


CHECKS: tuple[Check, ...] = (
    load_runs,
    what_answers_is_what_was_saved,
    dtypes_are_those_trained,
    saved_adapter_is_left_alone,
    model_is_in_evaluation_mode,
    forwards_are_equal,
    load_works_elsewhere,
    logits_are_finite,
    base_is_the_one_trained,
    all_adapters_are_loaded,
    added_rows_are_saved,
)
