"""Compares a loaded model with the record of its training, however it was loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sft_ref.io.foreign import first_line
from sft_ref.io.reading import shortened
from sft_ref.reference.guards.names import plain
from sft_ref.witnessing.record.fingerprints import config_settings, fingerprint_tensors
from sft_ref.witnessing.record.layers import AdapterState, adapter_state, find_peft
from sft_ref.witnessing.record.schema import StoredRecord, TrainingRecord, read_stored

from .adapters import compare_scalings, compare_tensors
from .outputs import compare_embedding, judge_outputs, measure_outputs
from .result import KINDS, Kind, RecordDifference, Verification, in_order
from .tokenizers import compare_template, compare_tokenizer
from .weights import compare_weights, read_weights

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def verify(model: Any, tokenizer: PreTrainedTokenizerBase | None, folder: str | Path) -> Verification:  # noqa: ANN401
    """Compares a loaded model with the record of its training.

    The model may be loaded in any way: with peft, merged, quantised, under an autocast of the caller. It is run once on
    a few rows, in evaluation mode, and is not changed.

    Args:
        model: a transformers model, or a PeftModel.
        tokenizer: the model's tokenizer; None skips tokenizer and chat template.
        folder: folder with the record written by `Witness` or `witness`.

    Raises:
        AdapterError: the folder contains no readable record.
    """
    stored = read_stored(Path(folder))
    return verify_loaded(stored, model, tokenizer)


def verify_loaded(
    stored: StoredRecord,
    model: Any,  # noqa: ANN401
    tokenizer: PreTrainedTokenizerBase | None,
) -> Verification:
    """Like `verify`, with a record that has already been read."""
    found: list[RecordDifference] = []
    notes: list[str] = []
    examined: list[Kind] = ["base"]
    if tokenizer is not None:
        examined += ["tokenizer", "template"]
        found += compare_tokenizer(stored.record, tokenizer)
        template = tokenizer.chat_template
        found += compare_template(stored.record, template if isinstance(template, str) else None, tokenizer)
    state = adapter_state(model)
    found += _compare_state(stored.record, state)
    found += _compare_mode(model)
    found += _compare_config(stored.record, model)
    found += compare_embedding(stored.record, model)
    compared = read_weights(stored, model)
    is_merged = bool(stored.record.adapter) and (state is None or bool(state.merged))
    weights = list(compare_weights(compared, is_merged=is_merged))
    if compared.unreadable:
        weights.append(_unreadable(compared.unreadable, len(stored.record.sketched)))
    if compared.missing:
        total = len(stored.record.sketched)
        notes.append(
            f"{len(compared.missing)} of {total} tensors of the base are not found, {compared.missing[0]} first"
        )
    found += weights
    figures: dict[str, float] = {}
    outputs = None
    try:
        outputs = measure_outputs(stored, model)
    except Exception as error:  # noqa: BLE001  # any library may raise
        found.append(
            RecordDifference("load", f"it cannot be run ({first_line(error)})", "load it so that a forward pass works")
        )
    if outputs is None:
        notes.append("the outputs are not compared: the record has no probes for this model, or it cannot be run")
    else:
        examined += ["load", "precision"]
        explained = any(each.kind not in {"tokenizer", "template"} for each in found)
        found += judge_outputs(stored, outputs, explained=explained)
        figures = {"logits, share of their spread": outputs.to_trained, "loss, nat": outputs.loss or 0.0}
    return Verification(in_order(found), tuple(kind for kind in KINDS if kind in examined), figures, tuple(notes))


def _compare_state(record: TrainingRecord, state: AdapterState | None) -> Iterator[RecordDifference]:
    """Reports differences of the adapters in memory."""
    if state is None or not record.adapter:
        return
    if state.is_disabled:
        yield RecordDifference("load", "the adapter is switched off", "call model.enable_adapter_layers()")
    if len(state.active) > 1:
        yield RecordDifference(
            "load",
            f"{len(state.active)} adapters are active at once ({', '.join(state.active)})",
            "call model.set_adapter(...) with the one that was trained",
            float(len(state.active)),
        )
    yield from compare_tensors(
        record,
        fingerprint_tensors(state.tensors),
        "load",
        f"memory (adapter {state.active[0]!r})" if state.active else "memory",
    )
    yield from compare_scalings(record, state.scalings)
    if state.config.use_dora != bool(record.lora.get("use_dora")):
        yield RecordDifference(
            "load", f"use_dora is {state.config.use_dora}, and was not in training", "restore the configuration"
        )


def _compare_mode(model: torch.nn.Module) -> Iterator[RecordDifference]:
    """Reports active dropout."""
    on = [
        plain(name)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Dropout) and module.training and module.p
    ]
    if on:
        yield RecordDifference(
            "load",
            f"dropout is on in {len(on)} modules, {on[0]} first: the model is in training mode",
            "call model.eval()",
        )


def _compare_config(record: TrainingRecord, model: Any) -> Iterator[RecordDifference]:  # noqa: ANN401
    """Reports differences of the base model's configuration.

    Keys that the loaded configuration lacks are skipped, since versions of transformers have different keys.
    """
    peft_model = find_peft(model)
    inner = model if peft_model is None else peft_model.get_base_model()
    now = config_settings(inner.config)
    for key, trained in record.base_config.items():
        if key in now and now[key] != trained:
            yield RecordDifference(
                "base",
                f"its configuration has {key} {shortened(now[key])}, and {shortened(trained)} in training",
                "load the base that was trained on",
            )


def _unreadable(names: tuple[str, ...], total: int) -> RecordDifference:
    return RecordDifference(
        "precision",
        f"{len(names)} of {total} tensors of the base are quantised, {names[0]} first",
        "load the base in the dtype it was trained in, or train over the quantised one",
        len(names) / total,
    )
