"""The reference run on what a submission did: its stages in a chain of the reference; each made once, on first use."""

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
from sft_ref.harness.core.training_examples import Text
from sft_ref.harness.instruments.answering import complete, read_number, right, value_losses
from sft_ref.harness.instruments.convention import decode, encode, masked
from sft_ref.io import plain_files
from sft_ref.io.lora_config import CONFIG, base_of, read_table
from sft_ref.io.peft_config import can_be_read
from sft_ref.reference.data import Row
from sft_ref.reference.questions import generate_rows

from .replay import ReplayStep, replay
from .trained import Trained
from .workplace import AgentResult

_ALIKE = 0.95
"""Share of the training texts that the convention must give, letter by letter."""
_OWN_STEPS, _OWN_BATCH, _OWN_RATE = 80, 32, 2e-3
_PAIRED = 256
"""Rows of a comparison of losses."""


class Recording(Trained):
    """The models of one recording besides its processes. `ask_with_sound_adapter` comes last.

    Attributes:
        with_adapter: what came of asking; with a sound adapter in its place where its training left none.
    """

    with_adapter: AgentResult

    @functools.cached_property
    def is_loaded_as_trained(self) -> bool:
        """Whether what training left was saved and loaded, in whatever form.

        Training texts tell it: the model that answers gives them the loss that training left, and not that of the base.
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
        """Whether it is not saved as peft saves it, and is loaded all the same."""
        as_peft = self.place is not None and bool(self.read_adapter(self.saved[self.place]))
        return (self.is_custom_lora or not as_peft) and self.is_loaded_as_trained

    @functools.cached_property
    def further_questions(self) -> list[Row]:
        """More fresh questions than were asked, for losses that need many rows."""
        known = {question for question, _ in (*self.rows, *self.unseen, *self.questions)}
        drawn = (row for row in generate_rows(self.seed) if row[0] not in known)
        return list(itertools.islice(drawn, _PAIRED - len(self.questions)))

    def ask_with_sound_adapter(self) -> None:
        """Asks once more with a sound adapter where it loads from, if what training left is not saved or not learned.

        Where there is no sound adapter, or it loads none of peft's, the first answers stand.
        """
        self.with_adapter = self.asked
        if self.is_custom_lora or self.is_custom_form or (self.is_saved_well and self.has_learned):
            return
        if (source := self.sound_folder) is None:
            return
        root, package = self.workplace.folder, self.workplace.layout.package
        for place in {self.output, *([self.read_from] if self.read_from else [])}:
            if place.is_relative_to(root):
                if not package.is_relative_to(place):  # else its code lies there
                    plain_files.remove(place)
                plain_files.put_files(source, root, place.relative_to(root).parts)
        self.with_adapter = self.ask("again")

    @property
    def sound_right(self) -> list[bool]:
        """Which fresh questions the sound adapter answers rightly, asked by the reference."""
        model = self.sound_model
        return self.trained_right if model is self.trained_model else self.reference_right

    @functools.cached_property
    def is_saved_well(self) -> bool:
        """Whether what is saved is what training left, or answers fresh questions no worse: the best of its epochs."""
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
            value_losses(model, self.tokenizer, self.questions, self.convention)
            for model in (saved, self.trained_model)
        )
        return not is_worse(own, due)

    @functools.cached_property
    def asked_model(self) -> Any:  # noqa: ANN401
        """The adapter that `with_adapter` had in place, loaded by the reference; None where there was none."""
        if self.with_adapter is not self.asked:
            return self.sound_model
        return None if self.place is None else self.model_of(self.saved[self.place])

    @functools.cached_property
    def expected_logits(self) -> tuple[AgentResult, torch.Tensor | None]:
        """What answers, and the logits that are expected of it; None where the reference cannot load that adapter.

        Of its own adapter where that was learned and saved, or is not peft's; else of a sound one.

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
        """A path as a student knows it: from the folder that was handed in."""
        root = self.workplace.layout.root
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)

    def expected_prompt(self, question: str) -> str:
        """The training text of a question up to where the model has to write; empty where that is not known.

        That is the first label; of a text that is labelled whole the end of the question, or of its template.
        """
        if self.convention is None:
            return ""
        lead, own = self.convention.lead(question), self.supervised_lead
        return lead if any(token in own for token in self.tokenizer.all_special_tokens) else lead.removesuffix(own)

    @functools.cached_property
    def is_question_lost(self) -> bool:
        """Whether training texts hold their questions, and no prompt that reaches the model does."""
        generations = [row for row in self.asked["answers"].get("generations", ()) if not row.get("continues_cache")]
        return bool(self.texts and generations) and not any(self.prompts(self.asked, self.asked_rows))

    def right_as_asked(self, model: Any) -> list[bool]:  # noqa: ANN401
        """Which questions a model answers rightly, generated and parsed by us, from the prompts that were sent."""
        prompts = [prompt for prompt in self.prompts(self.asked, self.questions) if prompt]
        if model is None or self.convention is None or len(prompts) < len(self.questions):
            return right(self.reference_answers(model) if model is not None else [], self.questions)
        return self._right_behind(model, prompts)

    @functools.cached_property
    def writes_alike(self) -> bool:
        """Whether the convention gives most training texts up to their number, so that it holds for fresh questions."""
        answered = [text for text in self.texts if text.is_answered]
        if self.convention is None or not answered:
            return False
        alike = sum(self.convention.lead(each.question) == each.before + each.asked + each.between for each in answered)
        return alike >= _ALIKE * len(answered)

    @functools.cached_property
    def right_as_trained(self) -> list[bool]:
        """Which questions what training left answers rightly, asked by us with its own training prompts.

        Where texts vary from question to question, nobody knows the training prompt of a fresh one: none is right then.
        """
        if self.trained_model is None or self.convention is None or not self.writes_alike:
            return [False] * len(self.questions)
        prompts = [encode(self.tokenizer, self.expected_prompt(question)) for question, _ in self.questions]
        return self._right_behind(self.trained_model, prompts) if all(prompts) else self.trained_right

    def _right_behind(self, model: Any, prompts: Sequence[Sequence[int]]) -> list[bool]:  # noqa: ANN401
        """Which questions a model answers rightly behind these prompts, one each, generated and parsed by us.

        What training wrote between prompt and number it then has to write itself, as its own generation had to, and
        what ends an answer as well: a strict parser may want all of it.
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
        """Whether a text begins with a number, and what ends an answer in training follows."""
        dense = "".join(text.split())
        numeral = next(iter(find_numerals(dense)), None)
        return numeral is not None and dense.startswith(f"{numeral}{self.closing[:1]}")

    @functools.cached_property
    def lora_folder(self) -> Path | None:
        """A folder whose configuration gives the adapter's shape; a usual one for what is not peft's."""
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
        """Our training on its very batches and labels, at its rates; None where these are not known."""
        if self.lora_folder is None or not any(step.batches for step in self.steps):
            return None
        decay = float(self.training_log.get("optimizer", {}).get("weight_decay", 0.0))
        return replay(self.steps, self.workplace.base, self.lora_folder, weight_decay=decay)

    @functools.cached_property
    def reference_steps(self) -> list[ReplayStep]:
        """Our settings, on its texts with labels as they ought to be."""
        rows = [masked(text, self._due_begin(text)) for text in self.texts if text.is_answered]
        rng = random.Random(0)
        steps = []
        for number in range(_OWN_STEPS):
            rate = _OWN_RATE * (1 - number / _OWN_STEPS)
            steps.append(ReplayStep(rate, (tuple(rng.sample(rows, min(_OWN_BATCH, len(rows)))),)))
        return steps

    @functools.cached_property
    def unlabelled_lead_length(self) -> int:
        """Tokens between the prompt that is sent and the first label, in most texts; 0 where labels begin before."""
        lengths = [
            (text.example.begin or 0) - len(prompt)
            for text, prompt in zip(self.texts, self.prompts(self.asked, self.known_rows), strict=False)
            if prompt is not None and text.example.ids[: len(prompt)] == prompt
        ]
        return max(0, sorted(lengths)[len(lengths) // 2]) if lengths else 0

    def _due_begin(self, text: Text) -> int:
        """Where labels ought to begin: behind the prompt that is sent, at the number in any case."""
        return min(text.begin, max(1, (text.example.begin or text.begin) - self.unlabelled_lead_length))

    @functools.cached_property
    def reference_model(self) -> Any:  # noqa: ANN401
        """The reference, trained in its convention with its adapter's shape; None where that is not known."""
        if self.lora_folder is None or self.convention is None or not self.reference_steps:
            return None
        return replay(self.reference_steps, self.workplace.base, self.lora_folder)

    @functools.cached_property
    def reference_right(self) -> list[bool]:
        """Which answers of the reference are right."""
        return (
            right(self.reference_answers(self.reference_model), self.questions)
            if self.reference_model is not None
            else []
        )

    @functools.cached_property
    def sound_model(self) -> Any:  # noqa: ANN401
        """What its training left, if that answers well; else the reference's."""
        if self.trained_model is not None and not self.trained_others and self.answers_rightly:
            return self.trained_model
        return self.reference_model

    @functools.cached_property
    def sound_folder(self) -> Path | None:
        """Its adapter, saved by us."""
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
