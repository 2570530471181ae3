"""The commands: `train` runs the submission's training; `ask` loads what it left, and asks it all there is to ask."""

import contextlib
import io
import json
import math
import os
import re
import sys

from .results import ResultWriter, count_dtypes, quiet
from .weights import active_adapters, added_rows


def main():
    """Reads one request from standard input, and does it."""
    request = json.loads(sys.stdin.read())
    sys.stdin = open(os.devnull)  # noqa: SIM115
    quiet()
    writer = ResultWriter(request["out"], request["root"], request["nonce"])
    os.chdir(request["root"])
    try:
        with writer.section("start"):
            work = _Work(request, writer)
            writer.write("start", versions=work.versions)
            {"train": work.train, "ask": work.ask}[request["command"]]()
    finally:
        writer.write("end", notes=writer.notes)


class _Work:
    def __init__(self, request, writer):
        import peft
        import torch
        import transformers

        from . import compatibility, cuda_on_cpu
        from .forwards import Forwards

        self.request, self.writer = request, writer
        self.versions = {
            "python": sys.version.split()[0],
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "peft": peft.__version__,
        }
        # each verb has a seed of its own: random numbers that training drew and did not save do not come again
        torch.manual_seed({"train": 0, "ask": 1}[request["command"]])
        note = writer.note
        self.asked_for, self.tokenizers = [], []
        self._listen_to_loading(transformers)
        compatibility.stub_optional_modules(request["root"], note)
        cuda_on_cpu.install(request["root"], note)
        compatibility.patch_loading(note)
        compatibility.patch_training(note)
        self.forwards = Forwards()
        self.forwards.install(getattr(transformers, request["model_class"]))

    def _listen_to_loading(self, transformers):
        asked_for, original = self.asked_for, transformers.PreTrainedModel.from_pretrained.__func__

        def from_pretrained(cls, name=None, *args, **kwargs):
            asked_for.append(str(name))
            return original(cls, name, *args, **kwargs)

        transformers.PreTrainedModel.from_pretrained = classmethod(from_pretrained)
        tokenizers, read = self.tokenizers, transformers.PreTrainedTokenizerBase.from_pretrained.__func__

        def read_tokenizer(cls, *args, **kwargs):
            tokenizers.append(read(cls, *args, **kwargs))
            return tokenizers[-1]

        transformers.PreTrainedTokenizerBase.from_pretrained = classmethod(read_tokenizer)

    def _added(self):
        """Tokens that the submission added to a tokenizer of the base, by their ids."""
        added = {}
        for tokenizer in self.tokenizers:
            added.update({number: text for text, number in tokenizer.get_added_vocab().items()})
        return added

    def _submission(self):
        from .stages import Submission

        return Submission(self.request["root"], self.request["modules"], self.request["output"])

    def train(self):
        from safetensors.torch import load_file

        from .time_limit import TimeLimit
        from .training_recorder import TrainingRecorder

        request = self.request
        weights = load_file(request["weights"])
        clock = self.forwards.clock = TimeLimit(2 * request["seconds"], self.writer.note)
        clock.install()
        recorder = TrainingRecorder(weights, request["vocab_size"], request["seconds"], clock)
        recorder.install(self.writer)
        with self.writer.section("train"):
            submission = self._submission()
            self.forwards.training_recorder = recorder
            submission.call("train")
            self.writer.write("train", done=True)
        self.forwards.training_recorder = None
        clock.tell()
        recorder.tell(self.writer)
        self.writer.write("pretrained", model_names=self.asked_for, added_tokens=self._added())

    def ask(self):
        from transformers import AutoTokenizer

        from .answering import Answerer
        from .asking import GenerationRecorder

        request, writer = self.request, self.writer
        tokenizer = AutoTokenizer.from_pretrained(request["base"])
        recorder = self.forwards.generation_recorder = GenerationRecorder(tokenizer)
        self.read = []
        self._listen_to_adapters()
        answerer = None
        with writer.section("load"):
            submission = self._submission()
            answerer = submission.call("load")
            counted = count_dtypes(getattr(answerer, "model", answerer))
            writer.write(
                "load", adapter_folders=self.read, dtype_counts=counted, tokenizer_size=_count_tokens(answerer)
            )
        if answerer is None:
            return
        self.answerer = Answerer(answerer, submission.modules)
        questions = request["questions"]
        writer.write("pretrained", model_names=self.asked_for)
        with writer.section("answers"):
            self._tell("answers", questions)
        if recorder.model is not None:
            with writer.section("probes"):
                self._probe(recorder)
        for number, script in enumerate(request["scripts"]):
            with writer.section(f"script_{number}"):
                self._tell(f"script_{number}", script["questions"], script["lines"])
        with writer.section("parse"):
            self._parse(request["parser_texts"])
        with writer.section("score"):
            self._score(submission)
        with writer.section("other_folder"):
            self._load_from_other_folder(submission)

    def _listen_to_adapters(self):
        import peft

        from .time_limit import find_checkpoint

        read, shortened, note = self.read, self.request["shortened"], self.writer.note
        original = peft.PeftModel.from_pretrained.__func__

        def from_pretrained(cls, model, model_id=None, *args, **kwargs):
            asked_for = os.path.abspath(str(model_id))
            place = str(find_checkpoint(asked_for, shortened))
            if place != asked_for:
                note(f"{os.path.basename(asked_for)} is {os.path.basename(place)} of the shortened training")
                model_id = place
            read.append(place)
            return original(cls, model, model_id, *args, **kwargs)

        peft.PeftModel.from_pretrained = classmethod(from_pretrained)

    def _answer(self, questions):
        """The whole way, and the texts that reached the parser on it."""
        texts = []

        def wrap(parse):
            def listen(text, *args, **kwargs):
                try:
                    value = parse(text, *args, **kwargs)
                except Exception as error:
                    texts.append([str(text), f"crash: {type(error).__name__}"])
                    raise
                texts.append([str(text), _number(value)])
                return value

            return listen

        with self.answerer.listening(wrap):
            values = self.answerer.answer(*questions)
        return [_number(value) for value in values], texts

    def _tell(self, section, questions, lines=()):
        recorder = self.forwards.generation_recorder
        recorder.reset([(line["question"], line["whole"], line["target"]) for line in lines])
        try:
            values, texts = self._answer(questions)
        finally:
            heard = recorder.reset()
        self.writer.write(section, values=values, parsed_texts=texts, generations=heard)

    def _probe(self, recorder):
        """Logits of training texts by the model that answers, twice, as it is."""
        from .logits import compute_logits

        model = recorder.model
        ears_off, self.forwards.generation_recorder = self.forwards.generation_recorder, None
        try:
            one, two = compute_logits(model, self.request["probe_ids"], times=2)
        finally:
            self.forwards.generation_recorder = ears_off
        self.writer.tensors("probes", {"logits": one})
        finite = bool(one.isfinite().all())
        apart = float((one - two).abs().max()) if finite else math.nan
        self.writer.tensors("added_token_rows", added_rows(model, self.request["vocab_size"]))
        self.writer.write(
            "probes",
            max_difference=apart,
            in_training_mode=bool(model.training),
            dtype_counts=count_dtypes(model),
            active_adapters=active_adapters(model),
        )

    def _parse(self, texts):
        parse = self.answerer.find("parse_answer")
        if parse is None:
            self.writer.write("parse", values=None)
            return
        values = []
        for text in texts:
            try:
                values.append(_number(parse(text)))
            except Exception as error:  # what a parser raises is for the judge to weigh
                values.append(f"crash: {self.writer.crash(error)}")
        self.writer.write("parse", values=values)

    def _score(self, submission):
        """The figures it reports, and the answers that it reports them of."""
        wanted = submission.output
        if self.read and not os.path.exists(os.path.join(wanted, "adapter_config.json")):
            submission.output = self.read[-1]  # a test that takes a folder is given the one that load reads
        given = []
        owner = type(self.answerer.owner)
        classes = [each for each in owner.__mro__ if "answer" in vars(each)]
        for each in classes[:1]:
            original = each.answer

            def answer(self, *questions, _original=original, **kwargs):
                values = _original(self, *questions, **kwargs)
                given.extend(zip(questions, map(_number, values)))
                return values

            each.answer = answer
        lines = self.request["score_lines"]
        recorder = self.forwards.generation_recorder
        recorder.reset([(line["question"], line["whole"], line["target"]) for line in lines])
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                result = submission.call("test") if submission.find("test") else None
        finally:
            submission.output = wanted
            prompts = [row["prompt_ids"] for row in recorder.reset()]
            for each in classes[:1]:
                each.answer = original
        self.writer.write("score", answers=given, prompts=prompts, **_figures(result, printed.getvalue()))

    def _load_from_other_folder(self, submission):
        """Whether loading works from another working folder."""
        here = os.getcwd()
        scratch = os.path.join(self.request["out"], "other_folder")
        os.makedirs(scratch, exist_ok=True)
        os.chdir(scratch)
        self.read.clear()
        try:
            submission.call("load")
            self.writer.write("other_folder", loaded=True, adapter_folders=self.read)
        finally:
            os.chdir(here)


def _number(value):
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return repr(value)[:100]


_FIGURE = r"(\d+(?:\.\d+)?(?:e-?\d+)?)(?:\s*/\s*(\d+))?\s*(%?)"


def _figures(result, printed):
    """Accuracy and answer_rate, from what was returned or else printed: every number that may be meant, as a share."""
    found = {}
    printed = re.sub(r"\b(np\.)?float\d+|\btensor", "", printed)
    for name, pattern in (("accuracy", "accuracy"), ("answer_rate", "answer[ _-]?rate")):
        value = getattr(result, name, None)
        if value is None and isinstance(result, dict):
            value = result.get(name)
        if value is not None:
            found[name] = [_number(value)]
            continue
        found[name] = []
        for seen in re.finditer(pattern, printed, flags=re.IGNORECASE):
            line = re.split(r"\n|accuracy|answer[ _-]?rate", printed[seen.end() : seen.end() + 80], flags=re.IGNORECASE)
            for number, of, percent in re.findall(_FIGURE, line[0]):
                value = float(number)
                shares = [value / 100] if percent or value > 1 else [value]
                found[name] += [*shares, *([value / float(of)] if of and float(of) else [])]
    return {"metrics": found, "output": printed[-1000:]}


def _count_tokens(loaded):
    """Tokens that the tokenizer of what was loaded knows; None where none is at hand."""
    for part in loaded if isinstance(loaded, tuple) else (loaded,):
        tokenizer = getattr(part, "tokenizer", part)
        if hasattr(tokenizer, "decode") and hasattr(tokenizer, "__len__"):
            return len(tokenizer)
    return None
