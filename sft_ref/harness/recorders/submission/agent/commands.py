"""The agent's commands: `train` runs the submission's training; `ask` loads its result, and records its answers."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from safetensors.torch import load_file

from ....instruments.scripted.scripted_model import ScriptedModel
from ....instruments.scripted.tracked_rows import GeneratedRow, GenerationRecorder, Script
from .compatibility import Loading
from .forwards import Forwards
from .inspection import active_adapters, added_rows, choose_rows, compute_logits, count_dtypes
from .patches import apply, around, loading_patches, replaced, shared_patches, training_patches
from .results import ResultWriter, to_number
from .stages import LoadedSubmission, Submission, read_metrics
from .time_limit import TimeLimit
from .training_recorder.recorder import TrainingRecorder

_LOCAL = ("logits", "log_probs")
"""Fields of a generation that are not written."""


def train(request: dict[str, Any], writer: ResultWriter) -> None:
    """Runs the training, and writes the texts it received and the adapter it left."""
    forwards, loading = _start(request, writer, seed=0)
    limit = forwards.time_limit = TimeLimit(2 * request["seconds"], writer.note)
    weights = load_file(request["weights"])
    recorder = TrainingRecorder(weights, request["vocab_size"], request["seconds"], limit, writer)
    apply(training_patches(recorder, limit))
    with writer.section("train"):
        submission = Submission(request["root"], request["modules"], request["output"])
        forwards.training_recorder = recorder
        submission.call("train")
        writer.write("train", done=True)
    forwards.training_recorder = None
    limit.finish()
    recorder.finish()
    writer.write("pretrained", model_names=loading.model_names, added_tokens=loading.added_tokens())


def ask(request: dict[str, Any], writer: ResultWriter) -> None:
    """Loads what training saved, and writes answers, logits, parsed numbers and metrics, one section each."""
    forwards, loading = _start(request, writer, seed=1)
    apply(loading_patches(loading))
    forwards.generation_recorder = GenerationRecorder(transformers.AutoTokenizer.from_pretrained(request["base"]))
    loaded = None
    with writer.section("load"):
        submission = Submission(request["root"], request["modules"], request["output"])
        loaded = submission.call("load")
        writer.write(
            "load",
            adapter_folders=loading.adapter_folders,
            dtype_counts=count_dtypes(getattr(loaded, "model", loaded)),
            tokenizer_size=_count_tokens(loaded),
        )
    if loaded is None:
        return
    inference = _Inference(writer, forwards, LoadedSubmission(loaded, submission.modules))
    writer.write("pretrained", model_names=loading.model_names)
    with writer.section("answers"):
        inference.write_answers("answers", request["questions"])
    with writer.section("without_cache"):
        inference.write_without_cache()
    if forwards.generating_model is not None:
        with writer.section("probes"):
            inference.write_logits(request["probe_ids"], request["vocab_size"])
    for number, script in enumerate(request["scripts"]):
        with writer.section(f"script_{number}"):
            inference.write_answers(f"script_{number}", script["questions"], script["lines"])
    with writer.section("parse"):
        inference.write_parsed(request["parser_texts"])
    with writer.section("score"):
        if loading.adapter_folders and not Path(request["output"], "adapter_config.json").exists():
            submission.output = loading.adapter_folders[-1]  # a test that takes a folder gets the one that load reads
        inference.write_score(submission, request["score_lines"])
    submission.output = request["output"]
    loading.adapter_folders.clear()
    with writer.section("other_folder"), _working_folder(Path(request["out"], "other_folder")):
        submission.call("load")
        writer.write("other_folder", loaded=True, adapter_folders=loading.adapter_folders)


def _start(request: dict[str, Any], writer: ResultWriter, *, seed: int) -> tuple[Forwards, Loading]:
    """Seeds and patches the libraries; returns the observers of forward passes and of loading.

    Each command has its own seed, so that random numbers that training drew and did not save do not recur.
    """
    torch.manual_seed(seed)
    forwards, loading = Forwards(), Loading(writer.note, request.get("shortened"))
    apply(shared_patches(request["root"], request["model_class"], writer.note, loading, forwards))
    versions = {each.__name__: each.__version__ for each in (torch, transformers, peft)}
    writer.write("start", versions={"python": sys.version.split()[0], **versions})
    return forwards, loading


class _Inference:
    """Runs every kind of inference on a loaded submission.

    Args:
        writer: writes the results.
        forwards: observes the model.
        answerer: calls the submission.
    """

    def __init__(self, writer: ResultWriter, forwards: Forwards, answerer: LoadedSubmission) -> None:
        self.writer, self.forwards, self.answerer = writer, forwards, answerer
        self.tokenizer = forwards.generation_recorder.tokenizer if forwards.generation_recorder else None
        self.generations: list[GeneratedRow] = []
        self.untrackable: list[str] = []

    def _record_generations(
        self, questions: Sequence[str] = (), lines: Sequence[dict[str, Any]] = ()
    ) -> GenerationRecorder:
        """Records generations from now on; those of scripted questions follow the scripts."""
        scripts = [_script(line, line.get("third")) for line in lines]
        recorder = (
            ScriptedModel(self.tokenizer, scripts)
            if scripts
            else GenerationRecorder(self.tokenizer, questions, on_untrackable=self.untrackable.append)
        )
        self.forwards.generation_recorder = recorder
        return recorder

    def write_answers(self, section: str, questions: Sequence[str], lines: Sequence[dict[str, Any]] = ()) -> None:
        """Writes the answers, the texts that reached the parser, and the model's generations, possibly scripted."""
        recorder = self._record_generations(questions, lines)
        with self.answerer.record_texts() as parsed:
            values = self.answerer.answer(*questions)
        self.generations = recorder.finish()
        generations = [
            {key: value for key, value in vars(row).items() if key not in _LOCAL} for row in self.generations
        ]
        self.writer.write(
            section, values=[to_number(value) for value in values], parsed_texts=parsed, generations=generations
        )

    def write_without_cache(self) -> None:
        """Writes the log probabilities of the first generations' tokens, each row in one forward pass of its own text.

        The texts have no padding, and no cache is used. Nothing is written if the rows could not be told apart.
        """
        model, tokenizer = self.forwards.generating_model, self.tokenizer
        if model is None or tokenizer is None or self.untrackable:
            return
        self.forwards.generation_recorder = None
        rows, texts = [], []
        for row in self.generations:
            prompt = list(itertools.dropwhile(lambda token: token == tokenizer.pad_token_id, row.prompt_ids))
            if prompt and row.new_token_ids and not row.continues_cache:
                rows.append(row)
                texts.append([*prompt, *row.new_token_ids])
        texts = choose_rows(texts, model.config.vocab_size)
        if not texts:
            return
        dtype = self.forwards.autocast
        kind = next(model.parameters()).device.type
        with contextlib.nullcontext() if dtype is None else torch.autocast(kind, dtype=dtype):
            [logits] = compute_logits(model, texts)
        alone, end = [], 0
        for row, text in zip(rows, texts, strict=False):
            end += len(text)
            own = logits[end - 1 - len(row.new_token_ids) : end - 1].cpu().log_softmax(-1)
            alone.append(own.gather(-1, torch.tensor(row.new_token_ids)[:, None])[:, 0].tolist())
        self.writer.write(
            "without_cache",
            autocast=None if dtype is None else str(dtype),
            new_token_ids=[row.new_token_ids for row in rows[: len(texts)]],
            alone=alone,
            generated=[row.log_probs for row in rows[: len(texts)]],
        )

    def write_logits(self, rows: Sequence[Sequence[int]], vocab_size: int) -> None:
        """Writes the answering model's logits of training texts, and their difference from those of a second pass."""
        model = self.forwards.generating_model
        self.forwards.generation_recorder = None
        one, two = compute_logits(model, rows, times=2)
        self.writer.tensors("probes", {"logits": one})
        self.writer.tensors("added_token_rows", added_rows(model, vocab_size))
        self.writer.write(
            "probes",
            max_difference=float((one - two).abs().max()) if bool(one.isfinite().all()) else math.nan,
            dtype_counts=count_dtypes(model),
            active_adapters=active_adapters(model),
        )

    def write_parsed(self, texts: Sequence[str]) -> None:
        """Writes the results of calling the parser separately on texts; None if there is no parser."""
        parse = self.answerer.find("parse_answer")
        if parse is None:
            self.writer.write("parse", values=None)
            return
        values: list[float | str] = []
        for text in texts:
            try:
                values.append(to_number(parse(text)))
            except Exception as error:  # noqa: BLE001  # the harness judges exceptions of the parser
                values.append(f"crash: {self.writer.describe_crash(error)}")
        self.writer.write("parse", values=values)

    def write_score(self, submission: Submission, lines: Sequence[dict[str, Any]]) -> None:
        """Writes the reported metrics, and the answers that they are computed from."""
        answers: list[tuple[Any, float | str]] = []

        def answer(original: Any, answerer: Any, /, *questions: Any, **kwargs: Any) -> Any:
            values = original(answerer, *questions, **kwargs)
            answers.extend(zip(questions, map(to_number, values), strict=False))
            return values

        owner = next((each for each in type(self.answerer.owner).__mro__ if "answer" in vars(each)), None)
        recorder = self._record_generations(lines=lines)
        printed = io.StringIO()
        with contextlib.ExitStack() as stack:
            if owner is not None:
                stack.enter_context(replaced(owner, "answer", around(answer)))
            stack.enter_context(contextlib.redirect_stdout(printed))
            stack.enter_context(contextlib.redirect_stderr(printed))
            result = submission.call("test") if submission.find("test") else None
        prompts, output = [row.prompt_ids for row in recorder.finish()], printed.getvalue()
        metrics = read_metrics(result, output)
        self.writer.write("score", answers=answers, prompts=prompts, metrics=metrics, output=output[-1000:])


def _script(line: dict[str, Any], third: dict[str, Any] | None = None) -> Script:
    ids = tuple(line["whole"]), tuple(line["target"])
    return Script(line["question"], *ids, third=_script(third) if third else None)


def _count_tokens(loaded: Any) -> int | None:
    """Returns the vocabulary size of the loaded tokenizer; None if none is found."""
    for part in loaded if isinstance(loaded, tuple) else (loaded,):
        tokenizer: Any = getattr(part, "tokenizer", part)
        if hasattr(tokenizer, "decode") and hasattr(tokenizer, "__len__"):
            return len(tokenizer)
    return None


@contextlib.contextmanager
def _working_folder(folder: Path) -> Iterator[None]:
    """Changes to a new working folder within the block."""
    before = Path.cwd()
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
