"""Train, load, test: the story from a question to a score, each part told elsewhere.

`train_model` and `test_model` are the same functions under the names of the course.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
import transformers

from sft_ref.console.plot import plot_losses
from sft_ref.errors import AdapterError, OutputError, PrecisionMismatchError, TrainingError
from sft_ref.io.locking import LOCK, only_one
from sft_ref.io.reading import Refusal, read_json

from . import adapter, tokens, tracing, training
from .autocast import isolated
from .base_llm import BaseLLM, find_device
from .data import Row, Score, check_rows, is_answer_valid, score, split_rows
from .models import DEFAULT_BASE, find_base, fingerprint_base
from .precision import (
    Policy,
    Record,
    check_can_train,
    choose_policy,
    count_dtypes,
    default_policy,
    digest,
    find_policy,
    fingerprint_prompt,
    fingerprint_tokenizer,
    library_versions,
)
from .settings import Settings
from .training import Step

DEFAULT_OUTPUT = "sft_model"
TEST_QUESTIONS = 100
_CHUNK = 256
_NOTE = "run.json"
_OURS = {_NOTE, LOCK, "adapter", "adapter.old"}
"""What the folder of an unfinished training holds besides checkpoints."""


@dataclass(frozen=True)
class Sample:
    """One tested question: what the model wrote, the number read from it, the number due, and the verdict."""

    question: str
    completion: str
    answer: float
    truth: float
    right: bool


@dataclass(frozen=True)
class TestResult:
    """A score and the samples that it counts."""

    __test__ = False  # pytest would take it for a test case

    score: Score
    samples: tuple[Sample, ...]


def train(
    output_dir: str | Path = DEFAULT_OUTPUT,
    *,
    base: str = DEFAULT_BASE,
    rows: Sequence[Row] | None = None,
    policy: str | None = None,
    settings: Settings | None = None,
    overwrite: bool = False,
    report: Callable[[Step], None] = lambda step: None,
    at_end: Callable[[BaseLLM], None] = lambda llm: None,
) -> list[Step]:
    """Fine-tunes a LoRA adapter on a base and writes it, with its record, to a folder; whole or not at all.

    An interrupted run leaves its checkpoint in ``<output_dir>.partial``; the same call goes on from there.

    Args:
        output_dir: where the adapter goes.
        base: a base as `sft_ref.reference.models.find_base` takes it.
        rows: (question, value) pairs; the training split by default.
        policy: name of a policy; by default what suits the device (`sft_ref.reference.precision.default_policy`).
        settings: of the training.
        overwrite: whether an adapter that stands there may be replaced.
        report: called after every optimizer step.
        at_end: called once with what was trained, before anything of it is saved.

    Returns:
        One entry an optimizer step, loss in nat.

    Raises:
        SftRefError: bad rows, base, policy or folder (before training), or a training that came to nothing.
        KeyboardInterrupt: after Ctrl-C, once a checkpoint is written; after a second one, at once.
    """
    settings = settings or Settings()
    folder = Path(output_dir)
    rows = split_rows("train") if rows is None else check_rows(rows)
    device = find_device()
    chosen = find_policy(policy) if policy else default_policy(device)
    check_can_train(chosen, device)
    with isolated(device), _checkpoints_of(folder, overwrite=overwrite) as partial:
        llm = BaseLLM(base, policy=chosen, device=device)
        record = Record(
            base=base,
            policy=chosen.name,
            dtypes={},
            fingerprints={
                "base": fingerprint_base(find_base(base)),
                "tokenizer": fingerprint_tokenizer(llm.tokenizer),
                "prompt": fingerprint_prompt(),
                "rows": digest([list(row) for row in rows]),
            },
            versions=library_versions(),
            settings=asdict(settings),
        )
        examples = [tokens.tokenize_example(llm.tokenizer, *row) for row in rows]
        with adapter.disk_errors(partial):
            _begin_or_resume(partial, record)
        transformers.set_seed(settings.seed)
        model = adapter.add_adapter(llm.model, chosen, rank=settings.rank, alpha=settings.alpha)
        with adapter.disk_errors(partial), tracing.output_dtypes(model) as computed:
            history = training.fit(
                model,
                examples,
                pad_token_id=llm.tokenizer.pad_token_id,
                policy=chosen,
                settings=settings,
                checkpoints=partial,
                report=report,
            )
        llm.model = model
        at_end(llm)
        with adapter.writing(folder, partial / "adapter") as scratch:
            model.peft_config["default"].base_model_name_or_path = base  # its name, not a path of this machine
            model.save_pretrained(str(scratch), save_embedding_layers=False)
            stored = adapter.read_tensors(scratch)
            record = replace(
                record,
                dtypes=count_dtypes(model),
                computed=computed,
                fingerprints={**record.fingerprints, "adapter": adapter.fingerprint_adapter(stored)},
            )
            (scratch / adapter.RECORD).write_text(record.to_json(), encoding="utf-8")
            plot_losses([step.loss for step in history], scratch / "loss.png")
    return history


@contextlib.contextmanager
def _checkpoints_of(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """Gives the folder of checkpoints beside `folder`, to one process at a time; it stays where one can go on from it.

    Raises:
        OutputError: another process trains into the folder, or what stands there must not be replaced.
    """
    _check_free(folder, overwrite=overwrite)
    partial = Path(f"{folder}.partial")
    adapter.check_can_be_named(partial)
    if partial.is_symlink():
        raise OutputError(f"{partial} is a link; delete it to begin anew")
    names = {path.name for path in partial.glob("*") if not path.name.startswith("checkpoint-")}
    if strangers := sorted(names - _OURS):
        raise OutputError(f"{partial} holds {strangers[0]}, which is no part of a training; move it away")
    with only_one(partial, "choose another folder"):
        try:
            _check_free(folder, overwrite=overwrite)  # another process may have been first
            yield partial
        except BaseException as error:
            if isinstance(error, TrainingError) or not training.whole_checkpoints(partial):
                _discard(partial)
            raise
        _discard(partial)


def _check_free(folder: Path, *, overwrite: bool) -> None:
    """Refuses a place where something stands that must not be replaced."""
    adapter.check_replaceable(folder)
    if (folder / adapter.CONFIG).exists() and not overwrite:
        raise OutputError(f"{folder} already holds an adapter; choose another folder, or pass --overwrite")


def _begin_or_resume(partial: Path, record: Record) -> None:
    """Makes the folder of checkpoints ready, new or as an interrupted run of the same settings left it.

    Raises:
        OutputError: it belongs to a run with other settings.
    """
    note = partial / _NOTE
    if os.path.lexists(note) and training.whole_checkpoints(partial):
        begun = read_json(note, Record, Refusal(OutputError, f"delete {partial} to begin anew"))
        changed = [each.name for each in fields(Record) if getattr(begun, each.name) != getattr(record, each.name)]
        if changed:
            raise OutputError(
                f"{partial} holds an unfinished run with another {', '.join(changed)};"
                " repeat its settings to go on, or delete it to begin anew"
            )
        return
    for checkpoint in partial.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    note.unlink(missing_ok=True)  # it may be a pipe, which would be waited for
    note.write_text(record.to_json(), encoding="utf-8")


def _discard(partial: Path) -> None:
    """Removes a folder of checkpoints; cut off, it leaves none that a later run would go on from."""
    (partial / _NOTE).unlink(missing_ok=True)
    shutil.rmtree(partial, ignore_errors=True)


def load(
    ckpt_path: str | Path = DEFAULT_OUTPUT,
    *,
    base: str | None = None,
    policy: str | None = None,
    torch_dtype: torch.dtype | str | None = None,
) -> BaseLLM:
    """The base with a trained adapter, in the precision that was trained, ready to answer.

    Args:
        ckpt_path: an adapter folder.
        base: the base, where the record or the adapter's configuration does not name one that this machine has.
        policy: name of a policy to load under in place of the recorded one.
        torch_dtype: dtype of the base weights that the caller counts on.

    Raises:
        AdapterError: the folder holds no adapter that is sound, or one of another base, tokenizer or prompt.
        PrecisionMismatchError: `torch_dtype` is not what was trained, or the dtypes found are not those recorded.
    """
    folder = Path(ckpt_path)
    tensors = adapter.read_tensors(folder)
    record = adapter.read_record(folder, tensors)
    base = base or (record.base if record else adapter.read_base_name(folder))
    if not base:
        raise AdapterError(f"{folder}: names no base; pass --base")
    chosen = _choose_for(record, policy, torch_dtype)

    llm = BaseLLM(base, policy=chosen)
    if record:
        _check_same_base(record, llm, base, folder)
    with isolated(llm.device):
        llm.model = adapter.load_adapter(llm.model, folder, tensors)
    if record and policy in (None, record.policy):
        found = count_dtypes(llm.model)
        for kind, name, dtype in [(k, n, d) for k, names in record.dtypes.items() for n, d in names.items()]:
            if kind == "buffer" and name not in found[kind]:
                continue  # which buffers a model keeps changes with the version of transformers
            loaded = found.get(kind, {}).get(name)
            if loaded != dtype:
                raise PrecisionMismatchError(
                    f"{folder}: {kind} tensor {name} was trained in {dtype} and is loaded in {loaded}"
                )
    elif record or policy:
        adapter.cast_adapter(llm.model, chosen)
    llm.model.eval()
    return llm


def _choose_for(record: Record | None, policy: str | None, torch_dtype: torch.dtype | str | None) -> Policy:
    if policy:
        return find_policy(policy)
    trained = find_policy(record.policy) if record else find_policy("fp32")
    if torch_dtype is not None:
        asked = choose_policy(find_device(), torch_dtype=torch_dtype)
        if asked.storage != trained.storage:
            raise PrecisionMismatchError(
                f"trained under {trained}, asked to load under torch_dtype={asked.storage};"
                f" leave torch_dtype out, or pass --policy {asked.name} to load so on purpose"
            )
    return trained


def _check_same_base(record: Record, llm: BaseLLM, base: str, folder: Path) -> None:
    found = {
        "base": fingerprint_base(find_base(base)),
        "tokenizer": fingerprint_tokenizer(llm.tokenizer),
        "prompt": fingerprint_prompt(),
    }
    for what, fingerprint in found.items():
        trained = record.fingerprints.get(what)
        if trained != fingerprint:
            raise AdapterError(
                f"{folder}: was trained with another {what} (base {record.base!r}, {what} {str(trained)[:8]}) than the"
                f" one at hand (base {base!r}, {what} {fingerprint[:8]}); give the base it was trained on"
            )


def ask(
    llm: BaseLLM, rows: Sequence[Row] | None = None, *, report: Callable[[int], None] = lambda done: None
) -> TestResult:
    """Asks a loaded model questions.

    Args:
        llm: the model.
        rows: (question, value) pairs; the first 100 of the validation split by default.
        report: called with the number of questions done so far.

    Raises:
        DataError: a row is bad, or there are none.
    """
    rows = split_rows("validation")[:TEST_QUESTIONS] if rows is None else check_rows(rows)
    samples: list[Sample] = []
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        completions = llm.batched_generate([llm.format_prompt(question) for question, _ in chunk])
        for (question, truth), completion in zip(chunk, completions, strict=True):
            answer = llm.parse_answer(completion)
            samples.append(Sample(question, completion, answer, truth, is_answer_valid(answer, truth)))
        report(len(samples))
    return TestResult(score([s.answer for s in samples], [s.truth for s in samples]), tuple(samples))


def test(ckpt_path: str | Path = DEFAULT_OUTPUT, rows: Sequence[Row] | None = None) -> Score:
    """Loads an adapter as it was trained, asks it questions, prints ``accuracy`` and ``answer_rate``, and returns them.

    Raises:
        SftRefError: as `load` and `ask` do.
    """
    result = ask(load(ckpt_path), rows).score
    print(result)
    return result


test.__test__ = False  # type: ignore[attr-defined]  # its name would make pytest collect it
train_model, test_model = train, test
