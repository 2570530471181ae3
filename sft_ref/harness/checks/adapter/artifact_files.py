"""Checks of the stage artifact: the files of an adapter folder."""

from __future__ import annotations

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.adapter import AdapterEvidence
from sft_ref.io.lora_config import CONFIG, INDEX, WEIGHTS
from sft_ref.reference.record import RECORD


@check(
    "ART-201",
    "The configuration has values that peft accepts",
    why="peft refuses the adapter, or builds a different one from the trained one.",
    remedy="Save adapter_config.json again with the PeftModel's save_pretrained.",
    core=True,
)
def configuration_is_usable(evidence: AdapterEvidence) -> str | None:
    """ART-201: Requires values of the right type for the known keys."""
    if evidence.config_problem:
        raise Failure(evidence.config_problem, "a configuration as peft writes it", CONFIG)
    ignored = evidence.config.ignored if evidence.config else ()
    return f"unknown keys, which are ignored: {', '.join(ignored[:5])}" if ignored else None


@check(
    "ART-202",
    "The folder contains the adapter's tensors",
    why="A configuration without tensors has no effect.",
    remedy="Copy the folder again, or save again: adapter_model.safetensors is missing.",
    core=True,
)
def tensors_are_there(evidence: AdapterEvidence) -> None:
    """ART-202: Accepts tensors in any known file format."""
    files = evidence.files
    if not (files.weights or files.shards or files.damage or files.has_pickle):
        raise Failure(f"the folder has no {WEIGHTS}", "the adapter's tensors")


@check(
    "ART-204",
    "The tensor files are complete",
    why="A truncated file cannot be loaded.",
    remedy="Copy the file again and compare its size, or save again.",
    depends_on=("ART-202",),
    core=True,
)
def files_are_whole(evidence: AdapterEvidence) -> None:
    """ART-204: Compares each header with the bytes that follow it."""
    if evidence.files.damage:
        raise Failure(evidence.files.damage, "whole safetensors files", "")
    evidence.files.check_readable()


@check(
    "ART-205",
    "Every shard is present",
    why="The tensors of a missing shard keep their initial values.",
    remedy="Copy the missing shards, or save the adapter as one file.",
    depends_on=("ART-202",),
)
def shards_are_all_there(evidence: AdapterEvidence) -> None:
    """ART-205: Uses the index, or without an index the names of the shards."""
    files = evidence.files
    if files.missing:
        by = "the index lists" if files.index is not None else "their names announce"
        seen = f"the folder has {files.shards - len(files.missing)} of the {files.shards} shards that {by}"
        raise Failure(seen, f"{files.shards} shards", files.missing[0])
    if files.shards and files.index is None:
        seen = (
            f"the tensors are in {files.shards} shards without an index, which neither peft nor transformers can join"
        )
        raise Failure(seen, f"{WEIGHTS}, or {INDEX} beside the shards", files.weights[0].name)
    if files.index is not None and (lost := sorted(files.index.keys() - files.headers.keys())) and not files.damage:
        seen = f"{len(lost)} of the {len(files.index)} tensors of the index are in no shard"
        raise Failure(seen, "every tensor of the index in a shard", lost[0])


@check(
    "ART-206",
    "The tensors are in the one file that peft reads",
    why="PeftModel.from_pretrained reads adapter_model.safetensors only; shards must be merged first.",
    remedy="Save with a larger max_shard_size, or merge the shards into adapter_model.safetensors.",
    level=Level.CONTRACT,
    depends_on=("ART-205",),
)
def tensors_are_in_one_file(evidence: AdapterEvidence) -> None:
    """ART-206: Fails for shards with an index."""
    if evidence.files.shards:
        raise Failure(f"the tensors are in {evidence.files.shards} shards, which peft does not read", WEIGHTS, INDEX)


@check(
    "ART-207",
    "The folder contains no merged model beside the adapter",
    why="from_pretrained of the folder applies the adapter to weights that already contain it, so it counts twice.",
    remedy="Keep the merged model and the adapter in separate folders.",
)
def nothing_is_merged_beside(evidence: AdapterEvidence) -> str | None:
    """ART-207: Compares the weights with the base and with the base plus adapter."""
    model = evidence.whole_model
    if model is None:
        return None
    if model.kind == "merged":
        seen = (
            f"{model.file} holds the base with this adapter merged into it ({model.compared} weights compared), and"
            " from_pretrained applies the adapter a second time"
        )
        raise Failure(seen, "the adapter alone", model.file)
    return None


@check(
    "ART-208",
    "The folder contains no full model beside the adapter",
    why="from_pretrained takes the weights in the folder as the base, whatever base the adapter names.",
    remedy="Keep the model and the adapter in separate folders.",
    level=Level.CONTRACT,
    depends_on=("ART-207",),
)
def no_model_lies_beside(evidence: AdapterEvidence) -> None:
    """ART-208: Fails for the base's own weights or weights of another model."""
    model = evidence.whole_model
    if model is not None:
        what = "the base's own weights" if model.kind == "base" else "weights of a different model from the base"
        raise Failure(f"{model.file} holds {what} ({model.compared} compared)", "the adapter alone", model.file)


@check(
    "ART-209",
    "Tensors and scaling match the record",
    why="The record is written at the end of training; values that differ from it are not the trained ones.",
    remedy="Copy the folder again, or train again; delete the record if the change is intended.",
    depends_on=("ART-204",),
)
def record_agrees(evidence: AdapterEvidence) -> None:
    """ART-209: Uses the record of sft_ref, if there is one beside the adapter."""
    if evidence.contradictions is None:
        raise Unavailable("there is no record beside the adapter")
    if evidence.contradictions:
        raise Failure("; ".join(evidence.contradictions), "the values of the record", RECORD)
