"""What a small sound submission's processes wrote, to be changed at will: checks are judged without running one."""

from __future__ import annotations

import copy
import functools
import math
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig
from safetensors.torch import save_file

from sft_ref.harness.core.numerals import number
from sft_ref.harness.core.training_examples import TrainingExample
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.evidence import Evidence
from sft_ref.harness.grading.saved import grade_saved
from sft_ref.harness.instruments.answering import complete
from sft_ref.harness.instruments.encoding import encode
from sft_ref.harness.isolation.sandbox import CommandResult
from sft_ref.harness.recorders.submission import recording as recording_module
from sft_ref.harness.recorders.submission.layout import Layout
from sft_ref.harness.recorders.submission.recorder import record as record_evidence
from sft_ref.harness.recorders.submission.recording import Recording
from sft_ref.harness.recorders.submission.replay import ReplayStep, replay
from sft_ref.harness.recorders.submission.workplace import AgentResult, Workplace
from sft_ref.io import plain_files
from sft_ref.reference.bases.find import TOY
from sft_ref.reference.models import load_tokenizer
from sft_ref.reference.questions import generate_rows
from sft_ref.reference.tokens import IGNORE_INDEX

Sections = dict[str, dict[str, Any]]
Capture = tuple[Path, dict[str, Sections]]
"""The folder of the processes, and by command what they wrote."""
Change = Callable[[dict[str, Sections]], None]

DRAWN = generate_rows(5)
ROWS, UNSEEN, QUESTIONS = ([next(DRAWN) for _ in range(count)] for count in (48, 8, 8))
TOKENIZER = load_tokenizer(TOY)
_STEPS, _RATE = 40, 5e-3
DONE = CommandResult(0, "", "", 1.0, sandboxed=True)


class Recorded(Workplace):
    """A workplace that runs nothing, and gives what was written before."""

    def run(self, command: str, name: str, **request: object) -> AgentResult:
        """What was recorded of a command."""
        return AgentResult(RECORDED[command], self.folder / "out" / command, DONE)


RECORDED: dict[str, Sections] = {}


@dataclass(frozen=True)
class Wording:
    """How the recorded submission writes: `question asked header number closing`; prompts end behind `asked`.

    `header`: what the model then has to write, and its parser does not read over.
    """

    asked: str = " <answer>"
    header: str = ""
    closing: str = "</answer>"

    def train(self, question: str, value: float) -> list[list[int]]:
        """Ids of a training text and its labels: what follows the prompt, or all of it where there is a header."""
        prompt = encode(TOKENIZER, f"{question}{self.asked}")
        target = encode(TOKENIZER, f"{self.header}{value!r}{self.closing}<|im_end|>")
        begin = 0 if self.header else len(prompt)
        return [[*prompt, *target], [*[IGNORE_INDEX] * begin, *(*prompt, *target)[begin:]]]

    def script(self, questions: Sequence[str], values: Sequence[float]) -> dict[str, Any]:
        """A section of answers to which the model said these numbers."""
        numerals = ["no idea" if math.isnan(value) else f"{value!r}{self.closing}" for value in values]
        return self.answer(questions, [f"{self.header}{numeral}" for numeral in numerals])

    def answer(self, questions: Sequence[str], said: Sequence[str]) -> dict[str, Any]:
        """A section of answers: what the model said behind each prompt, and what the parser reads in it."""
        heard = [
            {
                "prompt_ids": list(encode(TOKENIZER, f"{question}{self.asked}")),
                "new_token_ids": list(encode(TOKENIZER, f"{text}<|im_end|>")),
                "question": number,
                "non_greedy": 0,
                "continues_cache": False,
            }
            for number, (question, text) in enumerate(zip(questions, said, strict=True))
        ]
        texts = [str(TOKENIZER.decode(list(encode(TOKENIZER, text)), skip_special_tokens=True)) for text in said]
        values = [number(text.removesuffix(self.closing)) for text in texts]
        return {
            "values": values,
            "parsed_texts": [list(pair) for pair in zip(texts, values, strict=True)],
            "generations": heard,
        }


@functools.cache
def _train(wording: Wording) -> tuple[list[list[list[int]]], Any]:
    """Texts with their labels, and the model trained on them, once a process."""
    rows = [wording.train(*row) for row in ROWS]
    batch = tuple(TrainingExample(tuple(ids), tuple(labels)) for ids, labels in rows)
    with tempfile.TemporaryDirectory() as shape:
        LoraConfig(r=2, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM").save_pretrained(shape)
        return rows, replay([ReplayStep(_RATE, (batch,))] * _STEPS, TOY, Path(shape))


def record(work: Path, wording: Wording = Wording()) -> Capture:  # it is frozen
    """Folders and sections as a small submission leaves them whose training is sound."""
    rows, model = _train(wording)
    for folder in (work / "code" / "homework" / "sft_model", work / "out" / "train" / "trained"):
        model.save_pretrained(str(folder))
    train: Sections = {
        "start": {"versions": {}},
        "train": {"done": True},
        "training_log": {
            "examples": rows,
            "forward_passes": [[[*range(len(rows))], 1.0]] * _STEPS,
            "optimizer_steps": [[_RATE, step + 1, None] for step in range(_STEPS)],
            "labelled_padding": 0,
            "has_labels": True,
            "optimizer": {"name": "AdamW", "weight_decay": 0.0, "tensors": 84},
            "dtype_counts": {"base": {"torch.float32": 30}},
            "changed_base_weights": [],
            "shortened": None,
        },
        "pretrained": {"model_names": ["SmolLM2-360M-Instruct"]},
        "end": {"notes": []},
    }
    RECORDED["train"] = train
    recording = make(work)
    questions, texts = [question for question, _ in recording.asked_rows], recording.parse_texts
    prompts = [encode(TOKENIZER, f"{question}{wording.asked}") for question in questions]
    bare = [float(text.removesuffix(wording.closing)) for text in texts[: len(texts) // 2]]
    ask: Sections = {
        "start": {"versions": {}},
        "load": {
            "adapter_folders": [str(recording.workplace.layout.output)],
            "dtype_counts": {},
            "tokenizer_size": len(TOKENIZER),
        },
        "pretrained": {"model_names": ["SmolLM2-360M-Instruct"]},
        "answers": wording.answer(questions, complete(model, TOKENIZER, prompts)),
        "probes": {"max_difference": 0.0, "dtype_counts": {"base": {"torch.float32": 30}}},
        "parse": {"values": [*bare, *(["nan"] * len(bare))]},
        "score": {"metrics": {"accuracy": [0.4], "answer_rate": [0.8]}, "output": "accuracy 0.4", "answers": []},
        "other_folder": {"loaded": True, "adapter_folders": []},
        "end": {"notes": []},
    }
    for place, script in enumerate(recording.scripts):
        said = [float(line["numeral"] or "nan") for line in script["lines"]] or [1.0] * len(script["questions"])
        ask[f"script_{place}"] = wording.script(script["questions"], said)
    (work / "out" / "ask").mkdir(parents=True)
    save_file({"logits": recording.probe_logits(model)}, str(work / "out" / "ask" / "probes.safetensors"))
    shutil.copytree(work, work.with_name("kept"))
    return work, {"train": train, "ask": ask}


def workplace_of(work: Path) -> Recorded:
    """The workplace of what is recorded."""
    root = work / "code"
    return Recorded(work, Layout(root, ("homework.sft",), root / "homework"), TOY, work / "hub")


def make(work: Path) -> Recording:
    """A recording of what was written, up to its training."""
    recording = Recording(workplace_of(work), ROWS, UNSEEN, QUESTIONS, 5)
    plain_files.remove(work.parent / "after_training")
    recording.train()
    return recording


def observe(capture: Capture, change: Change = lambda recorded: None) -> Evidence:
    """The evidence of what was recorded, some of it changed."""
    work, sections = capture
    RECORDED.update(copy.deepcopy(sections))
    change(RECORDED)
    shutil.rmtree(work)  # what was put in place of its adapter
    shutil.copytree(work.with_name("kept"), work)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording_module, "_OWN_STEPS", 1)
        patch.setattr(recording_module, "_PAIRED", 16)
        return record_evidence(workplace_of(work), ROWS, UNSEEN, QUESTIONS, 5, user_paths={str(work): "it"})


def grade(capture: Capture, change: Change = lambda recorded: None) -> Verdict:
    """The verdict of all checks, where some of what was recorded is changed."""
    return grade_saved(observe(capture, change), "it")
