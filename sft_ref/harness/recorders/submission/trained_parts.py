"""Builds the evidence of tokens, training and artifact from the results of a submission's processes."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import torch

from sft_ref.harness.core.findings import Unavailable
from sft_ref.harness.core.training_examples import Text
from sft_ref.harness.evidence.artifact import Artifact, SavedAdapter
from sft_ref.harness.evidence.texts import Form, Tokenizer, TrainingText
from sft_ref.harness.evidence.training import (
    Examples,
    FirstLosses,
    OptimizerStep,
    RecordedStep,
    Training,
    TrainingSteps,
)
from sft_ref.harness.instruments.encoding import decode
from sft_ref.harness.instruments.losses import text_losses
from sft_ref.harness.instruments.sizes import project
from sft_ref.io.base_config import WEIGHTS as BASE_WEIGHTS
from sft_ref.io.lora_config import WEIGHTS
from sft_ref.io.reading import UnreadableError
from sft_ref.io.tensor_headers import read_header
from sft_ref.reference.tokens import IGNORE_INDEX

from .captured import named_bases
from .recording import Recording

_TENSORS = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".safetensors"})
"""Suffixes of files that hold tensors."""


_MOST_TOKENS = 2**16
"""Maximum tokens, with padding, of a first batch that the base model evaluates: recorded batches have no size limit."""


def build_examples(recording: Recording) -> Examples:
    """Builds the evidence of the training examples, decoded."""
    tokenizer, log = recording.tokenizer, recording.training_log
    base_rows = len(recording.base_model.get_input_embeddings().weight)
    used = {token - base_rows for row in recording.foreign for token in row.ids if token >= base_rows}
    form = None
    if recording.convention is not None:
        form = Form(recording.convention.markup, recording.closing, recording.supervised_lead, recording.writes_alike)
    return Examples(
        distinct=len(recording.examples),
        are_unlabelled=all(row.begin is None for row in recording.examples),
        texts=tuple(_decoded(recording, text) for text in recording.texts),
        added=tuple(sorted(recording.added)),
        used_rows=tuple(sorted(used)),
        base_rows=base_rows,
        labelled=log.get("has_labels"),
        padding_labelled=int(log.get("labelled_padding", 0)),
        data=len(recording.rows),
        form=form,
        unlabelled_lead=recording.unlabelled_lead_length,
        tokenizer=Tokenizer(
            len(tokenizer), str(tokenizer.eos_token), tokenizer.eos_token_id, tuple(tokenizer.all_special_ids)
        ),
    )


def _decoded(recording: Recording, text: Text) -> TrainingText:
    ids = text.example.ids
    tokens = tuple(decode(recording.tokenizer, ids[i : i + 1]) for i in range(len(ids)))
    whole = decode(recording.tokenizer, ids)
    if "".join(tokens) != whole:  # some tokenizers drop a leading space
        begins = [decode(recording.tokenizer, ids[:i]) for i in range(len(ids) + 1)]
        tokens = tuple(longer[len(shorter) :] for shorter, longer in itertools.pairwise(begins))
    return TrainingText(
        question=text.question,
        value=text.value,
        ids=ids,
        labels=text.example.labels,
        begin=text.begin,
        end=text.end,
        numeral=text.numeral,
        text=whole,
        tokens=tokens,
    )


def build_training(recording: Recording) -> Training:
    """Builds the evidence of the training and its result."""
    result, log = recording.training, recording.training_log
    changed, left = log.get("changed_base_weights"), recording.trained_logits
    try:
        fall = str(recording.fall)
    except Unavailable:
        fall = "an unknown amount"
    recorded = _recorded_steps(recording)
    return Training(
        crash=result.crash("train"),
        process=result.process,
        steps=tuple(OptimizerStep(step.rate, step.texts) for step in recording.steps),
        losses=tuple(recording.losses),
        optimized=int(log.get("optimizer", {}).get("tensors", 0)),
        dtypes=frozenset(log.get("dtype_counts", {}).get("base", {})),
        bases=named_bases(result["pretrained"].get("model_names", ())),
        changed=None if changed is None else tuple(changed),
        active=tuple(map(str, log.get("active_adapters", ()))),
        adapter=recording.trained,
        scale=recording.scales(recording.trained_folder),
        is_custom_lora=recording.is_custom_lora,
        has_finite_logits=None if left is None else bool(left.isfinite().all()),
        fall=fall,
        has_moved=recording.has_moved,
        has_learned=recording.has_learned,
        is_endless=recording.is_endless,
        models=int(log.get("models", 1)),
        is_cut=log.get("is_cut", False),
        recorded=recorded,
        first_losses=None if recorded is None else _first_losses(recording, recorded),
    )


def _recorded_steps(recording: Recording) -> TrainingSteps | None:
    """Returns the optimizer steps that the agent recorded; None if it recorded none."""
    log, steps = recording.training_log, []
    passes = log.get("forward_passes", ())
    trained: frozenset[str] = frozenset()
    for step in recording.training["training_steps"].get("steps", ()):
        trained = trained if step["trained"] is None else frozenset(step["trained"])
        begin, end = step["passes"]
        batches = [row for rows, _ in passes[begin:end] for row in rows]
        clipping = step["clipping"]
        steps.append(
            RecordedStep(
                rate=float(step["rate"]),
                rows=tuple(index for row in batches for index in ([row] if isinstance(row, int) else row["examples"])),
                loss=None,
                gradient_scale=None,
                trained=trained,
                outside=tuple(step["outside"]),
                stale=tuple(step["stale"]),
                dropped=tuple(step["dropped"]),
                idle=tuple(step["idle"]),
                decay=float(step["decay"]),
                clipping=None if clipping is None else float(clipping),
                clipped=float(step["clipped"]),
                dtypes=step["dtypes"],
                betas=tuple((first, second) for first, second in step["betas"]),
            )
        )
    return TrainingSteps(tuple(steps), len(recording.examples), is_cut=log.get("is_cut", False)) if steps else None


def _first_losses(recording: Recording, recorded: TrainingSteps) -> FirstLosses | None:
    """Pairs the first batch's losses with the base model's; None if unknown, or if a token is unknown to the base."""
    observed, begin = recording.training.tensors("first_losses").get("losses"), recording.training_log.get("first_pass")
    passes = recording.training_log.get("forward_passes", ())
    if observed is None or begin is None or begin >= len(passes):
        return None
    rows, _ = passes[begin]
    if any(not isinstance(row, int) or row >= len(recording.examples) for row in rows):  # packed rows
        return None
    batch, foreign = [recording.examples[row] for row in rows], set(recording.foreign)
    if not all(0 < len(row.ids) == len(row.labels) for row in batch) or not foreign.isdisjoint(batch):
        return None
    if observed.shape != (sum(len(row.ids) - 1 for row in batch),) or not len(observed):
        return None
    if len(batch) * max(len(row.ids) for row in batch) > _MOST_TOKENS:
        return None
    labelled = [torch.tensor([label != IGNORE_INDEX for label in row.labels[1:]], dtype=torch.bool) for row in batch]
    losses = text_losses(recording.base_model, [row.ids for row in batch])
    expected = torch.cat([of_row[: len(own)][own] for of_row, own in zip(losses, labelled, strict=True)])
    dtypes = frozenset((recorded.steps[0].dtypes or {}).values())
    return FirstLosses(observed[torch.cat(labelled)].double(), expected, dtypes) if len(expected) else None


def build_artifact(recording: Recording) -> Artifact:
    """Builds the evidence of the saved artifact, and of its state after loading."""
    place, output = recording.place, recording.saved_output
    size, unknown, largest = None, "", ""
    try:
        weighed = _weighed(recording)
        size = project(weighed, str(recording.workplace.base), str(recording.named_base))
        largest = _largest(weighed)
    except Unavailable as reason:
        unknown = str(reason)
    return Artifact(
        wanted=recording.name_place(recording.output),
        read_from=None if recording.read_from is None else recording.name_place(recording.read_from),
        places=tuple(map(recording.name_place, recording.saved)),
        saved=None if place is None else _saved(recording, place),
        tensor_names=frozenset(name for folder in recording.saved.values() for name in recording.read_adapter(folder)),
        is_loaded_as_trained=recording.is_loaded_as_trained,
        is_custom_form=recording.is_custom_form,
        is_saved_right=recording.is_saved_right,
        is_saved_well=recording.is_saved_well,
        output_files=frozenset(path.name for path in output.glob("*")),
        output_bytes=sum(
            path.stat().st_size for path in output.rglob("*") if path.suffix in _TENSORS and path.is_file()
        ),
        base_bytes=(recording.workplace.base / BASE_WEIGHTS).stat().st_size,
        size=size,
        size_unknown=unknown,
        largest_tensor=largest,
        named_base=recording.named_base,
    )


def _saved(recording: Recording, place: Path) -> SavedAdapter:
    copy = recording.saved[place]
    return SavedAdapter(
        place=recording.name_place(place),
        tensors=recording.read_adapter(copy),
        scale=recording.scales(copy),
        files=frozenset(path.name for path in copy.iterdir()),
        before=recording.fingerprint(copy, ()),
        after=recording.left[place],
    )


def _weighed(recording: Recording) -> Path:
    """Returns the adapter whose size counts: the saved one, or the trained one if it is saved in a custom form.

    Raises:
        Unavailable: there is no adapter, or no model to project it onto.
    """
    if recording.named_base is None:
        raise Unavailable("the size of the model that it names is unknown")
    if recording.is_custom_form and recording.trained:
        return recording.trained_folder
    if recording.is_custom_form:
        raise Unavailable("the adapter is saved in a custom format")
    if recording.place is None:
        raise Unavailable("nothing was saved")
    return recording.saved[recording.place]


def _largest(folder: Path) -> str:
    """Returns the name of the largest tensor; empty if the file cannot be read."""
    try:
        tensors = read_header(folder / WEIGHTS)
    except UnreadableError:
        return ""
    return max(tensors, key=lambda name: math.prod(tensors[name].shape), default="")
