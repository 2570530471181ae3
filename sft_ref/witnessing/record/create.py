"""Takes the record of a model in memory."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from sft_ref.harness.instruments.steps.evaluation_mode import evaluation_mode
from sft_ref.io.atomic_write import write_atomic
from sft_ref.reference.fingerprints import library_versions
from sft_ref.reference.guards.dtypes import dtype_name
from sft_ref.reference.guards.record_format import FORMAT_OF_WITNESS
from sft_ref.reference.record import RECORD

from . import probes, schema
from .fingerprints import (
    config_settings,
    dtypes_by_layer,
    fingerprint_template,
    fingerprint_tensors,
    fingerprint_tokenizer,
    lora_settings,
)
from .layers import AdapterState, adapter_state, find_peft, is_of_adapter, is_sharded
from .sketch import sketch_model

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class TrainingMetadata:
    """Facts about a training that cannot be read from the model in memory.

    Attributes:
        step: number of optimizer steps so far.
        autocast: autocast dtype in the forward pass; None if autocast is off.
        rows: rows of the first batches.
        seed: random seed of the training, if known.
        stores_rows: whether ids and labels of training rows may be stored.
        held_out: texts that serve as probes if training rows must not be stored.
        missing: maps other parts that could not be observed to the reason.
    """

    step: int
    autocast: str | None
    rows: tuple[probes.LabelledIds, ...]
    seed: int | None = None
    stores_rows: bool = True
    held_out: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class UnwrittenRecord:
    """A record that is ready to be written: the content of both files."""

    json: str
    tensors: bytes

    def write(self, folder: Path) -> None:
        """Writes both files; the JSON file contains the other's hash, so that mixed files are not accepted as a record.

        Raises:
            OutputError: the folder cannot be written.
        """
        remove_record(folder)
        write_atomic(folder / schema.TENSORS, self.tensors)
        write_atomic(folder / RECORD, self.json)


def remove_record(folder: Path) -> None:
    """Removes the record of an earlier training."""
    for name in (RECORD, schema.TENSORS):
        (folder / name).unlink(missing_ok=True)


def create_record(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase | None, circumstances: TrainingMetadata
) -> UnwrittenRecord:
    """Takes the record of a model in memory, with a few forward passes in evaluation mode.

    The model is not changed.

    Args:
        model: the trained model; its adapter is not merged.
        tokenizer: the tokenizer used in training; None if there is none.
        circumstances: further facts about the training.
    """
    from safetensors.torch import save

    state = adapter_state(model)
    inner = _inner(model)
    device = next(inner.parameters()).device
    missing = dict(circumstances.missing)
    chosen = _choose(tokenizer, circumstances, missing)
    runs, losses = _run(model, inner, chosen, circumstances.autocast, missing=missing)
    sketch = sketch_model(model)
    tensors = {**runs, "sketch_index": sketch.index, "sketch_value": sketch.value, "sketch_added": sketch.added}
    content = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    source = "training" if circumstances.stores_rows else "held-out"
    record = schema.TrainingRecord(
        format=FORMAT_OF_WITNESS,
        step=circumstances.step,
        base=_name_of_base(state, inner),
        precision=precision_of(model, circumstances.autocast),
        dtypes=dtypes_by_layer(model),
        scalings=state.scalings if state else {},
        lora=lora_settings(state.config) if state else {},
        adapter=fingerprint_tensors(state.tensors) if state else {},
        base_config=config_settings(inner.config),
        tokenizer=fingerprint_tokenizer(tokenizer) if tokenizer is not None else None,
        template=fingerprint_template(tokenizer.chat_template, tokenizer) if tokenizer is not None else None,
        probes=[
            schema.Probe(source, list(row.input_ids), list(row.labels), probes.positions_of(row), each)
            for row, each in zip(chosen, losses, strict=True)
        ],
        rows=[row.sha256 for row in circumstances.rows[: schema.MOST_ROWS]],
        sketched=list(sketch.names),
        missing=missing,
        versions=library_versions(),
        seed=circumstances.seed,
        device=_describe(device),
        tensors_sha256=schema.digest_bytes(content),
    )
    return UnwrittenRecord(schema.to_json(record), content)


def precision_of(model: torch.nn.Module, autocast: str | None) -> schema.TrainedPrecision:
    """Returns the precision of a model in memory: the dtypes of most of its values."""
    counts: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for name, tensor in model.named_parameters():
        counts[is_of_adapter(name)][dtype_name(tensor)] += tensor.numel()
    config: Any = _inner(model).config
    (base, _), *_ = counts[False].most_common(1) or [("float32", 0)]
    adapter = next((dtype for dtype, _ in counts[True].most_common(1)), None)
    return schema.TrainedPrecision(
        base, adapter, cast("schema.Autocast | None", autocast), getattr(config, "_attn_implementation", None)
    )


def _choose(
    tokenizer: PreTrainedTokenizerBase | None, circumstances: TrainingMetadata, missing: dict[str, str]
) -> list[probes.LabelledIds]:
    """Chooses the probes; if training rows must not be stored, texts that were not trained on."""
    if circumstances.stores_rows:
        if not (rows := probes.choose_rows(circumstances.rows)):
            missing["probes"] = "no batch with input_ids reached the model, or every label was masked"
        return rows
    if tokenizer is None:
        missing["probes"] = "held-out texts need a tokenizer"
        return []
    return probes.held_out_rows(circumstances.held_out, tokenizer)


def _run(
    model: torch.nn.Module,
    inner: Any,  # noqa: ANN401
    rows: Sequence[probes.LabelledIds],
    autocast: str | None,
    *,
    missing: dict[str, str],
) -> tuple[dict[str, torch.Tensor], list[dict[str, float | None]]]:
    """Computes logits and losses of all runs on all probes; see `schema.RUNS`."""
    device = next(inner.parameters()).device
    places = [probes.positions_of(row) for row in rows]
    widest = max(map(len, places), default=0)
    losses: list[dict[str, float | None]] = [{} for _ in rows]
    vocabulary = int(inner.get_output_embeddings().weight.shape[0]) if rows else 0
    top = torch.full((len(rows), widest, min(probes.TOP, vocabulary)), -1)
    found: dict[str, torch.Tensor] = {}
    why_not = probes.why_not_float32(inner)
    if why_not:
        missing["float32"] = why_not
    without = find_peft(model)
    with evaluation_mode(model):
        for name in schema.RUNS:
            if (why_not and name.endswith("fp32")) or (without is None and name.startswith("base")):
                continue
            logits = torch.full(top.shape, torch.nan)
            computing = probes.in_float32(inner, device) if "fp32" in name else probes.as_trained(device, autocast)
            alone = without.disable_adapter() if name.startswith("base") else contextlib.nullcontext()
            with alone, computing:
                for number, (row, due) in enumerate(zip(rows, places, strict=True)):
                    run = probes.run_probe(inner, row.input_ids)
                    losses[number][name] = run.loss(row.labels)
                    at = run.logits[torch.tensor(due) - 1]
                    if name == "trained":
                        top[number, : len(due)] = at.topk(top.shape[2]).indices
                    logits[number, : len(due)] = at.gather(1, top[number, : len(due)])
            found[f"logits_{name}"] = logits
    return {"top_ids": top.int(), **found}, losses


def _inner(model: Any) -> Any:  # noqa: ANN401
    """Returns the transformers model under peft; peft's forward may be wrapped in autocast, this one is not.

    A sharded model is returned unchanged, since its outermost module gathers the tensors.
    """
    peft_model = find_peft(model)
    return model if peft_model is None or is_sharded(model) else peft_model.get_base_model()


def _name_of_base(state: AdapterState | None, inner: Any) -> str | None:  # noqa: ANN401
    named = state.config.base_model_name_or_path if state else None
    return named or getattr(inner.config, "_name_or_path", None) or None


def _describe(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
