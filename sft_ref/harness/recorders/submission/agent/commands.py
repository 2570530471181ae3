"""The commands: `train` runs the submission's training; `ask` loads what it left, and records its answers."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .results import ResultWriter, to_number


def main() -> None:
    """Reads one request from standard input, and runs its command."""
    request = json.loads(sys.stdin.read())
    sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115  # as long as the process
    os.environ.setdefault("TQDM_DISABLE", "1")  # bars and notes of the libraries would only fill the output
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    sys.dont_write_bytecode = True
    writer = ResultWriter(request["out"], request["root"], request["nonce"])
    os.chdir(request["root"])
    try:
        with writer.section("start"):
            {"train": train, "ask": ask}[request["command"]](request, writer)
    finally:
        writer.write("end", notes=writer.notes)


def train(request: dict[str, Any], writer: ResultWriter) -> None:
    """Runs the training, and writes what it was shown and what it left."""
    from .patches import apply, training_patches
    from .stages import Submission
    from .time_limit import TimeLimit
    from .training_recorder import TrainingRecorder

    forwards, loading = _start(request, writer, seed=0)
    from safetensors.torch import load_file

    weights = load_file(request["weights"])
    limit = forwards.time_limit = TimeLimit(2 * request["seconds"], writer.note)
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
    """Loads what training saved, and writes its answers, logits, numbers parsed and metrics, a section each."""
    from transformers import AutoTokenizer

    from .answering import Answerer
    from .asking import GenerationRecorder
    from .inspection import count_dtypes
    from .patches import apply, loading_patches
    from .stages import Submission

    forwards, loading = _start(request, writer, seed=1)
    forwards.generation_recorder = GenerationRecorder(AutoTokenizer.from_pretrained(request["base"]))
    apply(loading_patches(loading))
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
    asked = _Loaded(writer, forwards, Answerer(loaded, submission.modules))
    writer.write("pretrained", model_names=loading.model_names)
    with writer.section("answers"):
        asked.write_answers("answers", request["questions"])
    if forwards.generation_recorder.model is not None:
        with writer.section("probes"):
            asked.write_logits(request["probe_ids"], request["vocab_size"])
    for number, script in enumerate(request["scripts"]):
        with writer.section(f"script_{number}"):
            asked.write_answers(f"script_{number}", script["questions"], script["lines"])
    with writer.section("parse"):
        asked.write_parsed(request["parser_texts"])
    with writer.section("score"):
        if loading.adapter_folders and not Path(request["output"], "adapter_config.json").exists():
            submission.output = loading.adapter_folders[-1]  # where load reads, a test that takes a folder does
        try:
            asked.write_score(submission, request["score_lines"])
        finally:
            submission.output = request["output"]
    loading.adapter_folders.clear()
    with writer.section("other_folder"), _working_folder(Path(request["out"], "other_folder")):
        submission.call("load")
        writer.write("other_folder", loaded=True, adapter_folders=loading.adapter_folders)


def _start(request: dict[str, Any], writer: ResultWriter, *, seed: int) -> Any:
    """Seeds and patches the libraries; what observes forward passes and what observes loading.

    Each command has a seed of its own: random numbers that training drew and did not save do not come again.
    """
    import peft
    import torch
    import transformers

    from .compatibility import Loading
    from .forwards import Forwards
    from .patches import apply, shared_patches

    torch.manual_seed(seed)
    forwards, loading = Forwards(), Loading(writer.note, request.get("shortened"))
    apply(shared_patches(request["root"], request["model_class"], writer.note, loading, forwards))
    versions = {each.__name__: each.__version__ for each in (torch, transformers, peft)}
    writer.write("start", versions={"python": sys.version.split()[0], **versions})
    return forwards, loading


class _Loaded:
    """What a submission loaded, asked in every way.

    Args:
        writer: takes what comes of it.
        forwards: observes the model.
        answerer: how it is asked.
    """

    def __init__(self, writer: ResultWriter, forwards: Any, answerer: Any) -> None:
        self.writer, self.forwards, self.answerer = writer, forwards, answerer
        self.recorder = forwards.generation_recorder

    def write_answers(self, section: str, questions: Sequence[str], lines: Sequence[dict[str, Any]] = ()) -> None:
        """Its answers, the texts that reached its parser, and what its model generated, perhaps as scripted."""
        from .patches import around

        parsed: list[list[Any]] = []

        def parse(original: Any, text: Any, /, *args: Any, **kwargs: Any) -> Any:
            try:
                value = original(text, *args, **kwargs)
            except Exception as error:
                parsed.append([str(text), f"crash: {type(error).__name__}"])
                raise
            parsed.append([str(text), to_number(value)])
            return value

        self._set_scripts(lines)
        try:
            with self.answerer.listening(around(parse)):
                values = [to_number(value) for value in self.answerer.answer(*questions)]
        finally:
            generations = self.recorder.reset()
        self.writer.write(section, values=values, parsed_texts=parsed, generations=generations)

    def _set_scripts(self, lines: Sequence[dict[str, Any]]) -> None:
        self.recorder.reset([(line["question"], line["whole"], line["target"]) for line in lines])

    def write_logits(self, rows: Sequence[Sequence[int]], vocab_size: int) -> None:
        """Logits of training texts by the model that answers, as it is, and how far a second pass is from the first."""
        from .inspection import active_adapters, added_rows, compute_logits, count_dtypes

        model = self.recorder.model
        self.forwards.generation_recorder = None
        try:
            one, two = compute_logits(model, rows, times=2)
        finally:
            self.forwards.generation_recorder = self.recorder
        self.writer.tensors("probes", {"logits": one})
        self.writer.tensors("added_token_rows", added_rows(model, vocab_size))
        self.writer.write(
            "probes",
            max_difference=float((one - two).abs().max()) if bool(one.isfinite().all()) else math.nan,
            in_training_mode=bool(model.training),
            dtype_counts=count_dtypes(model),
            active_adapters=active_adapters(model),
        )

    def write_parsed(self, texts: Sequence[str]) -> None:
        """What its parser, called by itself, makes of texts; None where there is none."""
        parse = self.answerer.find("parse_answer")
        if parse is None:
            self.writer.write("parse", values=None)
            return
        values: list[float | str] = []
        for text in texts:
            try:
                values.append(to_number(parse(text)))
            except Exception as error:  # noqa: BLE001  # what a parser raises is for the judge to weigh
                values.append(f"crash: {self.writer.describe_crash(error)}")
        self.writer.write("parse", values=values)

    def write_score(self, submission: Any, lines: Sequence[dict[str, Any]]) -> None:
        """The metrics that it reports, and the answers that it reports them of."""
        from .patches import around, replaced
        from .stages import read_metrics

        answers: list[tuple[Any, float | str]] = []

        def answer(original: Any, answerer: Any, /, *questions: Any, **kwargs: Any) -> Any:
            values = original(answerer, *questions, **kwargs)
            answers.extend(zip(questions, map(to_number, values), strict=False))
            return values

        owner = next((each for each in type(self.answerer.owner).__mro__ if "answer" in vars(each)), None)
        printed = io.StringIO()
        self._set_scripts(lines)
        try:
            with contextlib.ExitStack() as stack:
                if owner is not None:
                    stack.enter_context(replaced(owner, "answer", around(answer)))
                stack.enter_context(contextlib.redirect_stdout(printed))
                stack.enter_context(contextlib.redirect_stderr(printed))
                result = submission.call("test") if submission.find("test") else None
        finally:
            prompts = [row["prompt_ids"] for row in self.recorder.reset()]
        output = printed.getvalue()
        metrics = read_metrics(result, output)
        self.writer.write("score", answers=answers, prompts=prompts, metrics=metrics, output=output[-1000:])


def _count_tokens(loaded: Any) -> int | None:
    """Tokens that the tokenizer of what was loaded knows; None where none is at hand."""
    for part in loaded if isinstance(loaded, tuple) else (loaded,):
        tokenizer: Any = getattr(part, "tokenizer", part)
        if hasattr(tokenizer, "decode") and hasattr(tokenizer, "__len__"):
            return len(tokenizer)
    return None


@contextlib.contextmanager
def _working_folder(folder: Path) -> Iterator[None]:
    """Within it, the working folder is a new one."""
    before = Path.cwd()
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
