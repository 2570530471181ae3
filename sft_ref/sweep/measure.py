"""Measures one cell: compares the loaded model with the model in memory at the end of training."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file

from sft_ref.errors import AdapterError, OutputError
from sft_ref.harness.core import tolerance
from sft_ref.harness.core.implementation import Batch
from sft_ref.harness.instruments.losses import forward, losses_of
from sft_ref.harness.instruments.module_outputs import first_not_finite, headroom, largest_outputs
from sft_ref.io.foreign import foreign_files
from sft_ref.io.reading import kind_of
from sft_ref.reference import sft, tokens
from sft_ref.reference.data import Row
from sft_ref.reference.guards.adapter_files import read_tensors
from sft_ref.reference.guards.dtypes import count_dtypes, differences, output_dtypes
from sft_ref.reference.guards.names import plain
from sft_ref.reference.models import computing
from sft_ref.reference.precision import Policy, find_device, find_policy
from sft_ref.reference.prompt import format_example
from sft_ref.reference.record import Record, read_record
from sft_ref.reference.tokens import IGNORE_INDEX

from . import memory, verdict
from .cell import Cell, CellVerdict

if TYPE_CHECKING:
    from sft_ref.reference.base_llm import BaseLLM

CHUNK = 32
"""Rows per forward pass; the first chunk's answer logits are kept, 50 MB for a vocabulary of 49,152 tokens."""

SHORT = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


@dataclass(frozen=True)
class TeacherForced:
    """The outputs of a model on true answers, teacher-forced.

    Attributes:
        logits: logits of the positions that predict a supervised token, in the first `CHUNK` rows, fp32:
            (positions, vocabulary).
        losses: loss of each row, in nat per supervised token, float64.
        right: for each row, whether every supervised token is the most likely one.
    """

    logits: torch.Tensor
    losses: torch.Tensor
    right: torch.Tensor


def teacher_force(llm: BaseLLM, rows: Sequence[Row]) -> TeacherForced:
    """Computes the outputs under the model's policy, as at inference."""
    logits, losses, right = [], [], []
    for start in range(0, len(rows), CHUNK):
        batch = _batch(llm, rows[start : start + CHUNK])
        with computing(llm.model, llm.policy):
            found = forward(llm.model, batch).cpu().float()
        due = batch.labels[:, 1:]
        supervised = due != IGNORE_INDEX
        if not start:
            logits.append(found[:, :-1][supervised])
        losses.append(losses_of(found, batch))
        right.append(((found[:, :-1].argmax(-1) == due) | ~supervised).all(1))
    return TeacherForced(logits[0], torch.cat(losses), torch.cat(right))


def read_forced(path: Path) -> TeacherForced:
    """Reads the file of `write_forced`.

    Raises:
        OutputError: the file cannot be read.
    """
    with foreign_files(OutputError, f"{path}: cannot be read", "delete the sweep's folder to start again"):
        if kind_of(path) != "file":
            raise FileNotFoundError("it is not a regular file")
        found = load_file(path)
        return TeacherForced(found["logits"], found["losses"], found["right"])


def write_forced(forced: TeacherForced, path: Path) -> None:
    """Writes the outputs as safetensors."""
    save_file({"logits": forced.logits, "losses": forced.losses, "right": forced.right}, path)


def _batch(llm: BaseLLM, rows: Sequence[Row]) -> Batch:
    examples = [tokens.tokenize_example(llm.tokenizer, *row) for row in rows]
    found = tokens.collate(examples, llm.tokenizer.pad_token_id)
    return Batch(found["input_ids"], found["attention_mask"], found["labels"])


def measure(
    folder: Path, train: Policy, load: Policy, rows: Sequence[Row], *, trained: TeacherForced, same_policy: Cell | None
) -> Cell:
    """Loads an adapter under a policy, and measures the cell.

    Args:
        folder: adapter folder.
        train: policy of the training.
        load: policy to load under.
        rows: questions and answers that training has not seen.
        trained: outputs of the model in memory at the end of training, on the same rows.
        same_policy: the cell with the train policy as load policy; None if this is it.
    """
    cell = Cell(train.name, load.name, CellVerdict.BROKEN)
    stage = "load"
    try:
        peak = memory.PeakMemory(find_device())
        llm = sft.load(folder, policy=load.name)
        record = read_record(folder, read_tensors(folder))
        if record is None:
            raise AdapterError(f"{folder}: its record is missing")  # noqa: TRY301  # handled below like any other error
        cell = _look_at_weights(cell, llm, record)
        if bad := next((n for n, t in llm.model.named_parameters() if not t.isfinite().all()), None):
            return replace(cell, finite=False, stage=stage, why=f"load: {plain(bad)} is not finite")
        stage = "generate"
        forced = teacher_force(llm, rows)
        cell = _look_at_logits(cell, llm, forced, trained)
        cell, spelled = _look_at_answers(cell, llm, rows, record)
    except Exception as error:  # noqa: BLE001  # an error breaks this cell only
        stage = "artifact" if isinstance(error, AdapterError) else stage
        return replace(cell, stage=stage, why=f"{stage}: {' '.join(str(error).split())[:300] or type(error).__name__}")
    cell = replace(cell, peak_memory_mib=peak.mib())
    if same_policy is not None:
        changed = sum(one != other for one, other in zip(cell.answers, same_policy.answers, strict=True))
        cell = replace(cell, changed_answers=changed)
    return verdict.judge(cell, losses=forced.losses, due_losses=trained.losses, spelled=spelled)


def _look_at_weights(cell: Cell, llm: BaseLLM, record: Record) -> Cell:
    found = count_dtypes(llm.model)
    stored = [sorted({SHORT.get(dtype, dtype) for dtype in found[kind].values()}) for kind in ("base", "adapter")]
    return replace(
        cell,
        dtypes="/".join(["+".join(each) for each in stored]),
        same_dtypes=all(found[kind] == record.dtypes[kind] for kind in ("base", "adapter")),
        weights_mib=memory.weights_mib(llm.model),
    )


def _look_at_logits(cell: Cell, llm: BaseLLM, forced: TeacherForced, trained: TeacherForced) -> Cell:
    logits, due = forced.logits, trained.logits
    policies = (find_policy(cell.train), llm.policy)
    coarsest = max(
        (dtype for policy in policies for dtype in (policy.computes, policy.storage)),
        key=lambda dtype: tolerance.WEIGHTS[dtype],
    )
    allowed = tolerance.logits(coarsest, due)
    turned = tolerance.differing_choices(due, logits, allowed)
    return replace(
        cell,
        finite=bool(logits.isfinite().all()),
        parity=(logits - due).abs().max().item(),
        rounding=allowed,
        top1=1 - turned.float().mean().item(),
        loss=forced.losses.mean().item(),
        forced=forced.right.float().mean().item(),
        logits={
            "mean": logits.mean().item(),
            "std": logits.std().item(),
            "largest": logits.abs().max().item(),
        },
    )


def _look_at_answers(cell: Cell, llm: BaseLLM, rows: Sequence[Row], record: Record) -> tuple[Cell, list[bool]]:
    """Returns the cell, and for each question whether its unparsed completion begins with the true answer."""
    prompts = [llm.format_prompt(question) for question, _ in rows[:CHUNK]]
    with largest_outputs(llm.model) as outputs, output_dtypes(llm.model) as answering:
        llm.batched_generate(prompts)  # also the warm-up
    began = time.perf_counter()
    result = sft.ask(llm, rows)
    seconds = time.perf_counter() - began
    written = sum(len(llm.tokenizer(s.completion)["input_ids"]) + 1 for s in result.samples)  # plus the end token
    module, share = headroom(outputs)
    bad = first_not_finite(outputs)
    answers = [float(sample.answer) for sample in result.samples]
    cell = replace(
        cell,
        finite=cell.finite and bad is None,
        why=f"generate: {plain(bad)} outputs numbers that are not finite" if bad else cell.why,
        computed=tuple(differences(record.computed, answering)),
        dtypes=f"{cell.dtypes}/{'+'.join(SHORT.get(d, d) for d in answering.get('torch Linear', []))}",
        answer_rate=result.score.answer_rate,
        accuracy=result.score.accuracy,
        answers=tuple(answer if math.isfinite(answer) else None for answer in answers),
        headroom=share,
        headroom_module=plain(module),
        tokens_per_second=written / seconds,
    )
    spelled = [
        sample.completion.startswith(format_example(sample.question, sample.truth)["answer"])
        for sample in result.samples
    ]
    return cell, spelled
