"""Checks of artifact and load: what is saved, and what answers in the end."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from sft_ref.harness import sizes, tolerance
from sft_ref.harness.check import Check, Level, check
from sft_ref.harness.deltas import plain
from sft_ref.harness.findings import Blocked, Failure, Unavailable
from sft_ref.harness.losses import compare, is_worse
from sft_ref.harness.submission.evidence import Evidence
from sft_ref.harness.submission.layout import ADAPTER
from sft_ref.harness.submission.workplace import Told


@check(
    "ART-101",
    "after training an adapter lies where it is loaded from",
    why="An adapter that is saved elsewhere, or not at all, is not the one that answers.",
    remedy="Save to the folder that was asked for, and load from the same, found by the module's own place.",
    source="S9, A6",
)
def adapter_lies_where_it_is_loaded(evidence: Evidence) -> None:
    """ART-101: any adapter folder that is new after training."""
    if not evidence.trained:
        raise Unavailable("training left no adapter in memory")
    wanted = evidence.workplace.layout.output
    if not evidence.saved:
        raise Failure("no adapter_config.json in any folder", "an adapter folder", _place(evidence, wanted))
    read = evidence.read_from
    if wanted not in evidence.saved and (read is None or read not in evidence.saved):
        found = ", ".join(_place(evidence, each) for each in list(evidence.saved)[:3])
        raise Failure(f"an adapter in {found}", f"one in {_place(evidence, read or wanted)}", "where it is loaded from")


@check(
    "ART-102",
    "what is saved is what training left, but for the rounding of the stored dtype",
    why="What is saved before training, or from another model, is not what was trained.",
    remedy="Call save_pretrained on the model that was trained, after it was trained.",
    after=("ART-101",),
    source="A6; alpaca-lora#334",
)
def saved_tensors_are_the_trained(evidence: Evidence) -> None:
    """ART-102: the files against the adapter in memory when training ended, tensors and scale."""
    place = saved_place(evidence)
    saved = {plain(name): tensor for name, tensor in evidence.read_adapter(evidence.saved[place]).items()}
    if not saved:
        raise Failure("no adapter_model.safetensors that can be read", "the adapter's tensors", _place(evidence, place))
    scale, due_scale = evidence.scales(evidence.saved[place]), evidence.scales(evidence.trained_folder)
    for name, factor in due_scale.items():
        if scale.get(name) != factor and not evidence.is_good:
            raise Failure(f"{name} {scale.get(name)}", f"{factor}, as trained", _place(evidence, place / ADAPTER))
    for name, tensor in evidence.trained.items():
        if plain(name) not in saved:
            missing = len({plain(each) for each in evidence.trained} - saved.keys())
            raise Failure(f"{missing} of {len(evidence.trained)} tensors missing", "none", plain(name))
        due, found = tensor.float(), saved[plain(name)].float()
        if due.shape != found.shape:
            raise Failure(f"shape {tuple(found.shape)}", tuple(due.shape), plain(name))
        if torch.equal(due.isnan(), found.isnan()):  # NaN that was trained is training's matter
            due, found = due.nan_to_num(), found.nan_to_num()
        allowed = tolerance.WEIGHTS[tolerance.name_dtype(saved[plain(name)].dtype)] * due.norm().item()
        if not (error := (found - due).norm().item()) <= allowed:
            blank = "; the saved one is blank" if "lora_B" in name and not found.any() else ""
            raise Failure(
                f"a difference of {error:.3g} where the norm is {due.norm():.3g}{blank}", f"{allowed:.2g}", plain(name)
            )


@check(
    "ART-103",
    "the adapter keeps within the budget on the model that it is meant for",
    why="A head or embedding that is saved in full makes a LoRA adapter as large as a model.",
    remedy="Lower the rank, adapt fewer layers, and save no embeddings or head (modules_to_save).",
    after=("ART-101",),
    source="the course's rubric",
)
def adapter_keeps_within_its_budget(evidence: Evidence) -> None:
    """ART-103: projected from the toy onto the named model."""
    copy = evidence.saved[saved_place(evidence)]
    named = evidence.named_base
    if named is None:
        raise Unavailable("the model that it names is of no known size")
    size = sizes.project(copy, str(evidence.workplace.base), named)
    if size.adapter > sizes.ADAPTER_BYTES:
        seen = f"{size.adapter / 1e6:.1f} MB on {named}"
        raise Failure(seen, f"{sizes.ADAPTER_BYTES / 1e6:.0f} MB", _largest(copy))


@check(
    "ART-104",
    "the adapter is safetensors, not a pickle",
    level=Level.CONTRACT,
    why="A pickle runs code when it is loaded.",
    remedy="Save with safe_serialization=True, the default.",
    after=("ART-101",),
)
def adapter_is_no_pickle(evidence: Evidence) -> None:
    """ART-104: by the file's name."""
    copy = evidence.saved[saved_place(evidence)]
    if (copy / "adapter_model.bin").exists() and not (copy / "adapter_model.safetensors").exists():
        raise Failure("adapter_model.bin", "adapter_model.safetensors")


@check(
    "ART-105",
    "the model with its adapter keeps within the budget of parameters",
    level=Level.CONTRACT,
    why="A larger model than the task allows is another task.",
    remedy="Fine-tune a smaller variant.",
    after=("ART-101",),
    source="the course's rubric",
)
def model_keeps_within_its_budget(evidence: Evidence) -> str | None:
    """ART-105: the named model's parameters, and the adapter's. Advice: who grades by size has a rubric for it."""
    named = evidence.named_base
    if named is None:
        raise Unavailable("the model that it names is of no known size")
    size = sizes.project(evidence.saved[saved_place(evidence)], str(evidence.workplace.base), named)
    if size.parameters > sizes.PARAMETERS:
        return (
            f"{size.parameters / 1e6:.0f} million parameters of {named}, allowed {sizes.PARAMETERS / 1e6:.0f} million"
        )
    return None


@check(
    "LOD-101",
    "load gives a model that answers",
    why="What cannot be loaded answers nothing.",
    remedy="Mend the line that is named.",
)
def load_runs(evidence: Evidence) -> None:
    """LOD-101: in a process of its own; with an adapter of ours where training left none."""
    told = told_with_adapter(evidence)
    crash = told.crash("load")
    if crash:
        raise Failure(told.describe(crash), "no exception", crash["where"] or crash["trace"][-300:])
    if "load" not in told.sections:
        raise Failure(f"loading {told.ended_early}", "a model", told.finished.output[-300:])


@check(
    "LOD-102",
    "by the model that answers, taught texts are as likely as by what was saved",
    why="An adapter that is dropped, blank, applied twice or at another scale is not the one that was trained.",
    remedy="PeftModel.from_pretrained(base, folder), once, on the base it was trained on, and keep what it returns.",
    after=("LOD-101",),
    source="A7, A8, S1",
)
def what_answers_is_what_was_saved(evidence: Evidence) -> str | None:
    """LOD-102: the same texts through its model and through ours; how far that is from the bare base."""
    told, folder = _pair(evidence)
    found, due, base = _logits(evidence, told, evidence.model_of(folder))
    own, ours, bare = (evidence.probe_losses(each) for each in (found, due, base))
    if is_worse(own, ours):
        near = " (that of the bare base)" if abs(own.mean() - bare.mean()) < tolerance.LOSS else ""
        seen = f"{own.mean():.3f} nat a token{near}, {compare(own, ours)} against the adapter loaded by ours"
        raise Failure(seen, f"{ours.mean():.3f}", f"largest change of a logit {_apart(found, due):.3g}")
    return None


@check(
    "LOD-103",
    "what is loaded has the dtypes that were trained",
    level=Level.CONTRACT,
    why="A model that answers in another precision than it was trained in answers from other numbers.",
    remedy="Pass the dtype explicitly, and the same, where the base is loaded for training and for answering.",
    after=("LOD-101",),
    source="P19, P22, NC1",
)
def dtypes_are_those_trained(evidence: Evidence) -> None:
    """LOD-103: of the base's parameters."""
    trained = set(evidence.lessons.get("counted", {}).get("base", {}))
    loaded = set(evidence.asked["probes"].get("counted", {}).get("base", {}))
    if not trained or not loaded:
        raise Unavailable("the dtypes of one of both were not seen")
    if trained != loaded:
        raise Failure(f"{_names(loaded)} when answering", f"{_names(trained)}, as in training")


@check(
    "LOD-104",
    "loading and testing leave the saved adapter as it is",
    why="A load that writes destroys what was trained.",
    remedy="Write to the adapter's folder in training alone.",
    after=("ART-101",),
    source="S1",
)
def saved_adapter_is_left_alone(evidence: Evidence) -> None:
    """LOD-104: the file's bytes before and after."""
    evidence.asked  # noqa: B018  # it comes between
    place = saved_place(evidence)
    before, after = evidence.fingerprint(evidence.saved[place]), evidence.left[place]
    if before != after:
        raise Failure("another file" if after else "no file any more", "the same file", _place(evidence, place))


@check(
    "LOD-105",
    "the model answers in evaluation mode",
    why="Dropout that is left on changes answers from call to call.",
    remedy="Call model.eval() after loading.",
    after=("LOD-101",),
    source="A10",
)
def model_is_in_evaluation_mode(evidence: Evidence) -> None:
    """LOD-105: two forwards of the same texts. Where answers are all there, nothing is lost."""
    apart = float(evidence.asked["probes"].get("apart", 0.0))
    if apart > 0 and not evidence.is_good:
        raise Failure(f"logits apart by {apart:.3g} in two forwards of the same texts", "equal logits")


@check(
    "LOD-106",
    "two forwards of the same texts are equal",
    level=Level.CONTRACT,
    why="Dropout that is left on changes answers from call to call.",
    remedy="Call model.eval() after loading.",
    after=("LOD-105",),
)
def forwards_are_equal(evidence: Evidence) -> None:
    """LOD-106: exact."""
    apart = float(evidence.asked["probes"].get("apart", 0.0))
    if apart > 0:
        raise Failure(f"logits apart by {apart:.3g}", "equal logits")


@check(
    "LOD-107",
    "loading works from any working folder",
    level=Level.CONTRACT,
    why="A path that is relative to the working folder leads elsewhere when somebody else runs the code.",
    remedy="Build the path from Path(__file__).",
    after=("LOD-101",),
    source="S9",
)
def load_works_elsewhere(evidence: Evidence) -> None:
    """LOD-107: from an empty one."""
    told = told_with_adapter(evidence)
    crash = told.crash("elsewhere")
    if crash:
        raise Failure(f"{crash['type']}: {crash['message'][:200]}", "a model", "from an empty working folder")


def saved_place(evidence: Evidence) -> Path:
    """The saved adapter that counts."""
    if evidence.place is None:
        raise Blocked("nothing was saved")
    return evidence.place


def told_with_adapter(evidence: Evidence) -> Told:
    """What came of asking; where its training left nothing that can be loaded, with a sound adapter in its place."""
    if evidence.is_saved_right and evidence.has_learned:
        return evidence.asked
    return evidence.again or evidence.asked


def _pair(evidence: Evidence) -> tuple[Told, Path]:
    """What answered, and the adapter that is due: its own where that was learned and saved, else a sound one."""
    if evidence.is_saved_right and evidence.has_learned:
        return evidence.asked, evidence.trained_folder
    if evidence.again is not None and evidence.sound_folder is not None:
        return evidence.again, evidence.sound_folder
    if evidence.place is None:
        raise Unavailable("there is no adapter to compare with")
    return evidence.asked, evidence.saved[evidence.place]


def _logits(evidence: Evidence, told: Told, model: object) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    if model is None:
        raise Unavailable("the saved adapter cannot be loaded by ours")
    if told.crash("probes"):
        crash = told.crash("probes") or {}
        raise Failure(f"{crash['type']}: {crash['message']}", "logits", crash["where"])
    found = told.tensors("probes").get("logits")
    if found is None or not evidence.probed:
        raise Unavailable("no forward of its model was seen")
    due, base = evidence.probe_logits(model), evidence.probe_logits(evidence.base_model)
    if found.shape != due.shape:
        raise Failure(f"logits of shape {tuple(found.shape)}", tuple(due.shape), "another base, or another vocabulary")
    return found, due, base


def _apart(one: torch.Tensor, other: torch.Tensor) -> float:
    apart = (one - other).abs().max().item()
    return math.inf if math.isnan(apart) else apart


def _names(dtypes: set[str]) -> str:
    return ", ".join(sorted(name.removeprefix("torch.") for name in dtypes))


def _place(evidence: Evidence, path: Path) -> str:
    root = evidence.workplace.layout.root
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _largest(folder: Path) -> str:
    tensors = sizes.read_header(folder / "adapter_model.safetensors")
    return max(tensors, key=lambda name: math.prod(tensors[name][1]))


CHECKS: tuple[Check, ...] = (
    adapter_lies_where_it_is_loaded,
    saved_tensors_are_the_trained,
    adapter_keeps_within_its_budget,
    adapter_is_no_pickle,
    model_keeps_within_its_budget,
    load_runs,
    what_answers_is_what_was_saved,
    dtypes_are_those_trained,
    saved_adapter_is_left_alone,
    model_is_in_evaluation_mode,
    forwards_are_equal,
    load_works_elsewhere,
)
