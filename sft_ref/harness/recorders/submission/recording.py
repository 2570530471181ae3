"""Combines a submission's recorded stages with those of the reference; each result is computed once, on first use."""

from __future__ import annotations

import functools
import itertools
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from sft_ref.harness.core import tolerance
from sft_ref.harness.core.findings import Unavailable
from sft_ref.harness.core.numerals import find_numerals
from sft_ref.harness.core.paired import compare, is_worse
from sft_ref.harness.core.training_examples import Text, TrainingExample
from sft_ref.harness.evidence.evidence import GOOD
from sft_ref.harness.instruments.answering import complete, read_number, right, value_losses
from sft_ref.harness.instruments.convention import LOOKED_AT
from sft_ref.harness.instruments.encoding import decode, encode
from sft_ref.io import plain_files
from sft_ref.io.lora_config import CONFIG, PICKLE, base_of, read_table
from sft_ref.io.peft_config import can_be_read
from sft_ref.reference.data import Row
from sft_ref.reference.questions import generate_rows
from sft_ref.reference.tokens import IGNORE_INDEX

from .replay import ReplayStep, replay
from .trained import Trained
from .workplace import AgentResult

_ALIKE = 0.95
"""Share of the training texts that the convention must reproduce, character by character."""
_GAIN = 0.2
"""Share of the questions that training has to add to those that the base answers."""
_LOST = 0.1
"""Share of the prompts without their question from which on they are a fault."""
_OWN_STEPS, _OWN_BATCH, _OWN_RATE = 80, 32, 2e-3
_PAIRED = 256
"""Number of rows in a comparison of losses."""


class Recording(Trained):
    """The models of one recording, in addition to its processes. Call `ask_with_sound_adapter` last.

    Attributes:
        with_adapter: result of asking; with a sound adapter if the submission's own was not saved or not learned.
    """

    with_adapter: AgentResult

    @functools.cached_property
    def is_loaded_as_trained(self) -> bool:
        """Whether the trained adapter was saved and loaded, in any form.

        The loss on training texts decides: the answering model's must be that of the trained model, not of the base.
        """
        found = self.asked.tensors("probes").get("logits")
        if (
            found is None
            or self.trained_logits is None
            or found.shape != self.trained_logits.shape
            or not self.has_moved
        ):
            return False
        try:
            lost = compare(self.probe_losses(found), self.probe_losses(self.trained_logits)).mean
        except Unavailable:
            return False
        return lost < min(tolerance.LOSS, self.fall.mean / 2)

    @functools.cached_property
    def is_custom_form(self) -> bool:
        """Whether the adapter is saved in another form than peft's, and is nevertheless loaded."""
        as_peft = self.place is not None and bool(self.read_adapter(self.saved[self.place]))
        return (self.is_custom_lora or not as_peft) and self.is_loaded_as_trained

    @functools.cached_property
    def further_questions(self) -> list[Row]:
        """Fresh questions beyond those asked, for losses that need many rows."""
        known = {question for question, _ in (*self.rows, *self.unseen, *self.questions)}
        drawn = (row for row in generate_rows(self.seed) if row[0] not in known)
        return list(itertools.islice(drawn, _PAIRED - len(self.questions)))

    @functools.cached_property
    def answers_rightly(self) -> bool:
        """Whether the reference obtains good answers from the trained adapter, and not from the base alone.

        The model has to end its answers if it is trained to. A base may know the answers, in another form than that of
        the training texts.
        """
        enough = GOOD * len(self.questions)
        if sum(self.trained_adapter_correct) < enough or not self.writes_lead() or not self.ends_answers:
            return False
        if sum(self.correct_with_training_prompts) >= enough:
            return True
        of_base = right(self.reference_answers(self.base_model), self.questions)
        return sum(self.trained_adapter_correct) - sum(of_base) >= _GAIN * len(self.questions)

    @property
    def is_endless(self) -> bool:
        """Whether the trained adapter gives the reference good answers, but rarely writes the end token after them."""
        return sum(self.trained_adapter_correct) >= GOOD * len(self.questions) and not self.ends_answers

    @property
    def has_learned(self) -> bool:
        """Whether answers are good, the submission's or the reference's, or a custom adapter predicts its numbers."""
        if self.is_custom_lora:
            return self.is_good or self.predicts_training_numbers
        return self.is_good or (self.answers_rightly and self.has_moved)

    def ask_with_sound_adapter(self) -> None:
        """Asks again with a sound adapter in the folders it loads from, if its own adapter is not saved or not learned.

        If there is no sound adapter, or the submission loads no peft adapter, the first answers stand.
        """
        self.with_adapter = self.asked
        if self.is_custom_lora or self.is_custom_form or (self.is_saved_well and self.has_learned):
            return
        if (source := self.sound_folder) is None:
            return
        root = self.workplace.folder
        for place in {self.output, *([self.read_from] if self.read_from else [])}:
            if place.is_relative_to(root):  # its other files stay: loading may read a tokenizer, or choose a checkpoint
                plain_files.put_files(source, root, place.relative_to(root).parts)
                plain_files.remove(place / PICKLE)
        self.with_adapter = self.ask("again")

    @property
    def sound_adapter_correct(self) -> list[bool]:
        """Whether the sound adapter answers each fresh question rightly, asked by the reference."""
        model = self.sound_model
        return self.trained_adapter_correct if model is self.trained_model else self.reference_correct

    @functools.cached_property
    def is_saved_well(self) -> bool:
        """Whether the saved adapter is the trained one, or no worse on fresh questions, such as its best epoch."""
        if self.is_custom_form:
            return True
        if self.is_saved_right or self.place is None or self.convention is None or self.trained_model is None:
            return self.is_saved_right
        if self.scales(self.trained_folder) != self.scales(self.saved[self.place]):
            return False
        saved = self.model_of(self.saved[self.place])
        if saved is None or not self.has_moved:
            return False
        own, due = (
            value_losses(model, self.tokenizer, self.questions, self.convention, with_end=True)
            for model in (saved, self.trained_model)
        )
        return not is_worse(own, due)

    @functools.cached_property
    def evaluated_model(self) -> Any:  # noqa: ANN401
        """The adapter that was in place for `with_adapter`, loaded by the reference; None if there was none."""
        if self.with_adapter is not self.asked:
            return self.sound_model
        return None if self.place is None else self.model_of(self.saved[self.place])

    @functools.cached_property
    def expected_logits(self) -> tuple[AgentResult, torch.Tensor | None]:
        """The result of asking, and the logits expected in it; None if the reference cannot load that adapter.

        Both are of the submission's own adapter if it was learned and saved well, is not peft's, or is saved in a
        custom form. Otherwise they are of the sound adapter, if the submission was asked again with it, and of the
        adapter that the submission saved if not.

        Raises:
            Unavailable: there is no adapter to compare with.
        """
        if self.is_custom_lora or self.is_custom_form:
            return self.asked, self.trained_logits
        if self.is_saved_well and self.has_learned and self.place is not None:
            result, folder = self.asked, self.saved[self.place]
        elif self.with_adapter is not self.asked and self.sound_folder is not None:
            result, folder = self.with_adapter, self.sound_folder
        elif self.place is not None:
            result, folder = self.asked, self.saved[self.place]
        else:
            raise Unavailable("there is no adapter to compare with")
        model = self.model_of(folder)
        return result, self.probe_logits(model) if model is not None else None

    def name_place(self, path: Path) -> str:
        """Returns a path as the user knows it: relative to the folder that was handed in."""
        root = self.workplace.layout.root
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)

    def expected_prompt(self, question: str) -> str:
        """Returns a question's training text up to where the model has to write; empty if that is unknown.

        The model writes from the first label on; in a fully labelled text, from the end of the question or template.
        """
        if self.convention is None:
            return ""
        lead, own = self.convention.lead(question), self.supervised_lead
        return lead if any(token in own for token in self.tokenizer.all_special_tokens) else lead.removesuffix(own)

    @functools.cached_property
    def lost_prompt(self) -> Sequence[int] | None:
        """The first prompt without its question, if training texts contain theirs and several or all prompts do not."""
        generations = [row for row in self.asked["answers"].get("generations", ()) if not row.get("continues_cache")]
        if not (self.texts and generations):
            return None
        prompts = self.prompts(self.asked, self.asked_rows)
        found = {each for each in prompts if each is not None}
        read = min(len(self.readable), LOOKED_AT)
        if found and (len(generations) < len(prompts) or len(self.texts) < _ALIKE * read):
            return None  # some questions are answered without the model, or every text is reworded
        if prompts.count(None) < _LOST * len(prompts):
            return None
        return next((row["prompt_ids"] for row in generations if tuple(row["prompt_ids"]) not in found), None)

    def correct_with_sent_prompts(self, model: Any) -> list[bool]:  # noqa: ANN401
        """Returns which questions a model answers rightly from the sent prompts; the reference generates and parses."""
        prompts = [prompt for prompt in self.prompts(self.asked, self.questions) if prompt]
        if model is None or self.convention is None or len(prompts) < len(self.questions):
            return right(self.reference_answers(model) if model is not None else [], self.questions)
        return self._correct_after(model, prompts)

    @functools.cached_property
    def writes_alike(self) -> bool:
        """Whether the convention reproduces most training texts up to their number, so it holds for fresh questions."""
        answered = [text for text in self.texts if text.is_answered]
        if self.convention is None or not answered:
            return False
        alike = sum(self.convention.lead(each.question) == each.before + each.asked + each.between for each in answered)
        return alike >= _ALIKE * len(answered)

    @functools.cached_property
    def correct_with_training_prompts(self) -> list[bool]:
        """Whether the trained adapter answers each question rightly; the reference asks, with the training prompts.

        If texts vary from question to question, the training prompt of a fresh question is unknown: none is right then.
        """
        if self.trained_model is None or self.convention is None or not self.writes_alike:
            return [False] * len(self.questions)
        prompts = [encode(self.tokenizer, self.expected_prompt(question)) for question, _ in self.questions]
        return self._correct_after(self.trained_model, prompts) if all(prompts) else self.trained_adapter_correct

    def _correct_after(self, model: Any, prompts: Sequence[Sequence[int]]) -> list[bool]:  # noqa: ANN401
        """Returns which questions a model answers rightly after the given prompts; the reference generates and parses.

        The model must itself write the text that training put between prompt and number, as the submission's generation
        had to, and the text that ends an answer: a strict parser may require all of it.
        """
        if self.convention is None:
            return [False] * len(self.questions)
        answers = []
        for (question, _), prompt, text in zip(
            self.questions, prompts, complete(model, self.tokenizer, prompts), strict=True
        ):
            sent, lead = decode(self.tokenizer, prompt), self.convention.lead(question)
            own = lead[len(sent) :] if lead.startswith(sent) else self.supervised_lead
            due = own.split()[-1:]
            _, found, rest = text.partition(due[0]) if due else ("", text, text)
            answers.append(
                read_number(rest, self.convention) if found and self._is_written_as_in_training(rest) else math.nan
            )
        return right(answers, self.questions)

    def _is_written_as_in_training(self, text: str) -> bool:
        """Returns whether a text begins with a number that is followed by the ending of an answer in training."""
        dense = "".join(text.split())
        numeral = next(iter(find_numerals(dense)), None)
        return numeral is not None and dense.startswith(f"{numeral}{self.closing[:1]}")

    @functools.cached_property
    def lora_folder(self) -> Path | None:
        """A folder whose configuration defines the adapter's shape; a common shape if the adapter is not peft's."""
        from peft import LoraConfig

        if self.is_custom_lora:
            folder = self.workplace.folder.parent / "shape"
            shape = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
            shape.save_pretrained(str(folder))
            return folder
        folders = [self.trained_folder, *self.saved.values()]
        return next(filter(can_be_read, folders), None)

    @functools.cached_property
    def replayed(self) -> Any:  # noqa: ANN401
        """The reference trained on the submission's own batches, labels and learning rates; None if unknown."""
        if self.lora_folder is None or not any(step.batches for step in self.steps):
            return None
        decay = float(self.training_log.get("optimizer", {}).get("weight_decay", 0.0))
        return replay(self.steps, self.workplace.base, self.lora_folder, weight_decay=decay)

    @functools.cached_property
    def reference_steps(self) -> list[ReplayStep]:
        """Training steps with the reference's settings, on the submission's texts with correct labels."""
        rows = [_masked(text, self._due_begin(text)) for text in self.texts if text.is_answered]
        rng = random.Random(0)
        steps = []
        for number in range(_OWN_STEPS):
            rate = _OWN_RATE * (1 - number / _OWN_STEPS)
            steps.append(ReplayStep(rate, (tuple(rng.sample(rows, min(_OWN_BATCH, len(rows)))),)))
        return steps

    @functools.cached_property
    def unlabelled_lead_length(self) -> int:
        """Median number of tokens between the sent prompt and the first label; 0 if labels begin earlier."""
        lengths = [
            (text.example.begin or 0) - len(prompt)
            for text, prompt in zip(self.texts, self.prompts(self.asked, self.known_rows), strict=False)
            if prompt is not None and text.example.ids[: len(prompt)] == prompt
        ]
        return max(0, sorted(lengths)[len(lengths) // 2]) if lengths else 0

    def _due_begin(self, text: Text) -> int:
        """Returns where labels ought to begin: after the prompt that is sent, and at the number at the latest."""
        return min(text.begin, max(1, (text.example.begin or text.begin) - self.unlabelled_lead_length))

    @functools.cached_property
    def reference_model(self) -> Any:  # noqa: ANN401
        """The reference, trained in the submission's convention and adapter shape; None if these are unknown."""
        if self.lora_folder is None or self.convention is None or not self.reference_steps:
            return None
        return replay(self.reference_steps, self.workplace.base, self.lora_folder)

    @functools.cached_property
    def reference_correct(self) -> list[bool]:
        """Whether each answer of the reference is right."""
        return (
            right(self.reference_answers(self.reference_model), self.questions)
            if self.reference_model is not None
            else []
        )

    @functools.cached_property
    def sound_model(self) -> Any:  # noqa: ANN401
        """The model with the trained adapter, if that answers well; else the reference's."""
        if self.trained_model is not None and not self.trained_others and self.answers_rightly:
            return self.trained_model
        return self.reference_model

    @functools.cached_property
    def sound_folder(self) -> Path | None:
        """Folder of the sound model's adapter, saved by the harness if it is the reference's."""
        if self.sound_model is None:
            return None
        if self.sound_model is self.trained_model:
            return self.trained_folder
        folder = self.workplace.folder.parent / "sound"
        self.sound_model.save_pretrained(str(folder))
        config = read_table(folder)
        config["base_model_name_or_path"] = base_of(read_table(self.lora_folder)) if self.lora_folder else None
        (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
        return folder


def _masked(text: Text, begin: int) -> TrainingExample:
    """Returns the same text with the labels that it ought to have: supervised from `begin` to its end."""
    ids = text.example.ids
    return TrainingExample(ids, tuple(IGNORE_INDEX if n < begin else token for n, token in enumerate(ids)))
