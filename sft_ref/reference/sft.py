"""Trains, loads and tests: the whole method from questions to a score, in calls of the files listed before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers

from sft_ref.console.plot import plot_losses
from sft_ref.errors import AdapterError
from sft_ref.reference.bases.find import DEFAULT_BASE
from sft_ref.reference.guards.answer_model import AnswerModel
from sft_ref.reference.guards.output_folder import atomic_folder, disk_errors
from sft_ref.reference.guards.progress import Step
from sft_ref.reference.guards.resuming import begin_or_resume, checkpoints_of
from sft_ref.reference.guards.rows import AnyRow, check_rows
from sft_ref.reference.guards.surroundings import isolated

from . import adapter, tokens, training
from .base_llm import BaseLLM
from .data import Score, is_right, score, split_rows
from .fingerprints import check_same_parts
from .guards import adapter_files, dtypes
from .precision import check_can_train, choose_for_load, default_policy, find_device, find_policy
from .record import RECORD, begin_record, finish_record, read_record
from .settings import Settings
from .texts import parse_text

DEFAULT_OUTPUT = "sft_model"
TEST_QUESTIONS = 100
_CHUNK = 256


@dataclass(frozen=True)
class Sample:
    """One tested question: the completion, the number or text parsed from it, and the true answer."""

    question: str
    completion: str
    answer: float | str
    truth: float | str
    right: bool


@dataclass(frozen=True)
class TestResult:
    """A score and the samples on which it is based."""

    __test__ = False  # else pytest would take it for a test case

    score: Score
    samples: tuple[Sample, ...]


def train(
    output_dir: str | Path = DEFAULT_OUTPUT,
    *,
    base: str = DEFAULT_BASE,
    rows: Sequence[AnyRow] | None = None,
    policy: str | None = None,
    settings: Settings | None = None,
    overwrite: bool = False,
    report: Callable[[Step], None] = lambda step: None,
    at_end: Callable[[BaseLLM], None] = lambda llm: None,
) -> list[Step]:
    """Fine-tunes a LoRA adapter on a base and writes it with its record to a folder, completely or not at all.

    An interrupted run leaves its checkpoint in ``<output_dir>.partial``; the same call resumes from there.

    Args:
        output_dir: folder of the adapter.
        base: base model, as `bases.find.find_base` takes it.
        rows: (question, value) or (question, text) pairs; the training split by default.
        policy: name of a policy; by default the one that suits the device (`precision.default_policy`).
        settings: hyperparameters of the training.
        overwrite: whether an existing adapter may be replaced.
        report: called after every optimizer step.
        at_end: called once with the trained model, before anything is saved.

    Returns:
        One entry per optimizer step, loss in nat.

    Raises:
        SftRefError: bad rows, base, policy or folder (before training), or a failed training.
        KeyboardInterrupt: Ctrl-C was pressed; raised once a checkpoint is written, after a second Ctrl-C at once.
    """
    settings = settings or Settings()
    folder = Path(output_dir)
    rows = split_rows("train") if rows is None else check_rows(rows)
    device = find_device()
    chosen = find_policy(policy) if policy else default_policy(device)
    check_can_train(chosen, device)
    with isolated(device), checkpoints_of(folder, overwrite=overwrite) as partial:
        llm = BaseLLM(base, policy=chosen, device=device)
        record = begin_record(base, llm.tokenizer, chosen, settings, rows)
        examples = [tokens.tokenize_example(llm.tokenizer, *row) for row in rows]
        begin_or_resume(partial, record)
        transformers.set_seed(settings.seed)
        llm.model = adapter.add_adapter(llm.model, chosen, rank=settings.rank, alpha=settings.alpha)
        with disk_errors(partial), dtypes.output_dtypes(llm.model) as computed:
            history = training.fit(
                llm.model,
                examples,
                pad_token_id=llm.tokenizer.pad_token_id,
                policy=chosen,
                settings=settings,
                checkpoints=partial,
                report=report,
            )
        at_end(llm)
        with atomic_folder(folder, partial / "adapter") as scratch:
            adapter.save_adapter(llm.model, base, scratch)
            record = finish_record(record, llm.model, computed, adapter_files.read_tensors(scratch))
            (scratch / RECORD).write_text(record.to_json(), encoding="utf-8")
            plot_losses([step.loss for step in history], scratch / "loss.png")
    return history


def load(
    ckpt_path: str | Path = DEFAULT_OUTPUT,
    *,
    base: str | None = None,
    policy: str | None = None,
    torch_dtype: torch.dtype | str | None = None,
) -> BaseLLM:
    """Loads the base with a trained adapter, in the precision of the training.

    Args:
        ckpt_path: an adapter folder.
        base: base model, if the record or the adapter's configuration does not name one that this machine has.
        policy: name of a policy to load under, instead of the recorded one.
        torch_dtype: dtype of the base weights that the caller expects.

    Raises:
        AdapterError: the folder has no valid adapter, or its base, tokenizer or prompt format differs.
        PrecisionMismatchError: `torch_dtype` differs from the training, or the loaded dtypes from the recorded ones.
    """
    folder = Path(ckpt_path)
    tensors = adapter_files.read_tensors(folder)
    record = read_record(folder, tensors)
    base = base or (record.base if record else adapter_files.read_base_name(folder))
    if not base:
        raise AdapterError(f"{folder}: names no base; pass --base")
    trained = find_policy(record.policy if record else "fp32")
    chosen = choose_for_load(trained, find_device(), policy=policy, torch_dtype=torch_dtype)
    llm = BaseLLM(base, policy=chosen)
    if record:
        check_same_parts(folder, record, base, llm.tokenizer)
    with isolated(llm.device):
        llm.model = adapter.load_adapter(llm.model, folder, tensors)
    if record and policy in (None, record.policy):
        dtypes.check_same_dtypes(folder, record.dtypes, dtypes.count_dtypes(llm.model))
    elif record or policy:
        adapter.cast_adapter(llm.model, chosen)
    llm.model.eval()
    return llm


def ask(
    llm: AnswerModel, rows: Sequence[AnyRow] | None = None, *, report: Callable[[int], None] = lambda done: None
) -> TestResult:
    """Asks a loaded model questions, by default the first 100 of the validation split; reports the number answered."""
    rows = split_rows("validation")[:TEST_QUESTIONS] if rows is None else check_rows(rows)
    if any(isinstance(truth, str) for _, truth in rows):
        llm.max_new_tokens = tokens.MAX_TOKENS  # the limit of an answer in training
    samples: list[Sample] = []
    for chunk in (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)):
        completions = llm.batched_generate([llm.format_prompt(question) for question, _ in chunk])
        for (question, truth), completion in zip(chunk, completions, strict=True):
            answer = parse_text(completion) if isinstance(truth, str) else llm.parse_answer(completion)
            samples.append(Sample(question, completion, answer, truth, is_right(answer, truth)))
        report(len(samples))
    return TestResult(score([s.answer for s in samples], [s.truth for s in samples]), tuple(samples))


def test(ckpt_path: str | Path = DEFAULT_OUTPUT, rows: Sequence[AnyRow] | None = None) -> Score:
    """Loads an adapter as trained, asks it questions, and prints and returns its accuracy and answer rate."""
    result = ask(load(ckpt_path), rows).score
    print(result)
    return result


test.__test__ = False  # type: ignore[attr-defined]  # else pytest would collect it because of its name
train_model, test_model = train, test  # their names in the course
