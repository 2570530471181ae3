"""What ours makes of what a submission did: its stages with ours around them; each made once, when asked for."""

from __future__ import annotations

import functools
import json
import math
import random
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from sft_ref.harness import tolerance
from sft_ref.harness.implementation import Batch
from sft_ref.harness.losses import Paired, compare, is_worse, row_losses
from sft_ref.harness.taught import IGNORED
from sft_ref.models import load_model
from sft_ref.precision import POLICIES

from .answering import best_prompts, complete, read_number, right, value_losses
from .captured import GOOD, Captured
from .convention import Text, decode, masked, numerals
from .replay import Step, pad, replay
from .workplace import Told

_OWN_STEPS, _OWN_BATCH, _OWN_RATE = 80, 32, 2e-3
_LED = 16
_TAUGHT = 64
"""Texts of training whose loss is compared."""


class Evidence(Captured):
    """What a check of a submission is handed."""

    @property
    def has_learned(self) -> bool:
        """Whether what training left answers well, asked by ours; of its own kind, knows what it was taught."""
        if self.is_of_own_kind:
            return self.is_good or self.left_knows
        return self.is_good or (self.answers_rightly and self.has_moved)

    @functools.cached_property
    def answers_rightly(self) -> bool:
        """Whether the adapter that training left, asked by ours, answers well, and writes what leads to the number."""
        return sum(self.trained_right) >= GOOD * len(self.questions) and self._writes_lead()

    def _writes_lead(self) -> bool:
        """Whether from where labels begin it goes on as its texts do, up to a number: a base may know numbers."""
        texts = [text for text in self.texts if text.is_answered and 0 < (text.taught.begin or 0) < text.begin][:_LED]
        leads = [decode(self.tokenizer, text.taught.ids[text.taught.begin : text.begin]).strip() for text in texts]
        if not any(leads) or len(set(leads)) > 1:
            return True
        prompts = [text.taught.ids[: text.taught.begin] for text in texts]
        said = complete(self.trained_model, self.tokenizer, prompts)
        led = re.compile(re.escape(leads[0]) + r"\s*[-+.\d]")
        return sum(bool(led.match(each.strip())) for each in said) >= len(said) / 2

    @functools.cached_property
    def fall(self) -> Paired:
        """By how much training made all that its texts teach likelier: most of it is learned long before numbers."""
        if self.is_of_own_kind and self.left_logits is not None:
            return compare(*map(self.probe_losses, (self.probe_logits(self.base_model), self.left_logits)))
        return compare(*(self.taught_losses(model) for model in (self.base_model, self.trained_model)))

    @property
    def is_of_own_kind(self) -> bool:
        """Whether what was trained is no adapter of peft's, and is known by its logits alone."""
        return self.trained_model is None and self.left_logits is not None

    @functools.cached_property
    def left_logits(self) -> torch.Tensor | None:
        """Logits of the probed texts, as `probe_logits` gives them: of the adapter that training left, on the base.

        Of what is not peft's, as told by the model itself; None where that is not known.
        """
        if self.trained_model is not None:
            return self.probe_logits(self.trained_model) if self.probed else None
        told = self.training.tensors("left").get("logits")
        tokens = sum(len(row.ids) for row in self.probed)
        return None if self.foreign or told is None or len(told) != tokens else told

    @functools.cached_property
    def left_knows(self) -> bool:
        """Whether by these logits most taught numbers are likeliest from their first token to their last."""
        if self.left_logits is None:
            return False
        texts = {text.taught: text for text in self.texts if text.is_answered}
        known, at = [], 0
        for row in self.probed:
            own = self.left_logits[at : at + len(row.ids)].argmax(-1).tolist()
            at += len(row.ids)
            if text := texts.get(row):
                known.append(own[text.begin - 1 : text.end - 1] == list(row.ids[text.begin : text.end]))
        return sum(known) >= GOOD * len(known) > 0

    @functools.cached_property
    def is_loaded_as_trained(self) -> bool:
        """Whether what training left was saved and loaded, in whatever form.

        Told by taught texts: by the model that answers they are as likely, and likelier than by the bare base.
        """
        found = self.asked.tensors("probes").get("logits")
        if found is None or self.left_logits is None or found.shape != self.left_logits.shape or not self.has_moved:
            return False
        lost = compare(self.probe_losses(found), self.probe_losses(self.left_logits)).mean
        return lost < min(tolerance.LOSS, self.fall.mean / 2)

    @functools.cached_property
    def is_of_own_form(self) -> bool:
        """Whether it is not saved as peft saves it, and is loaded all the same."""
        as_peft = self.place is not None and bool(self.read_adapter(self.saved[self.place]))
        return (self.is_of_own_kind or not as_peft) and self.is_loaded_as_trained

    @property
    def has_moved(self) -> bool:
        """Whether training taught anything; a base may answer by itself where a prompt ends at the number."""
        return not self.readable or (self.fall.mean > tolerance.FALL and self.fall.t > tolerance.PAIRED_T)

    def taught_losses(self, model: Any) -> torch.Tensor:  # noqa: ANN401
        """Loss of what texts of training teach, in nat a token: (texts,)."""
        rows = self.readable[:_TAUGHT]
        labels = [row.labels if row.begin is not None else row.ids for row in rows]
        ids, mask = pad([row.ids for row in rows], 0), pad([(1,) * len(row.ids) for row in rows], 0)
        return row_losses(model, Batch(ids, mask, pad(labels, IGNORED)))

    @functools.cached_property
    def again(self) -> Told | None:
        """The same with a sound adapter of ours put where it loads from; None where it reads none of peft's."""
        source = None if self.is_of_own_kind or self.is_of_own_form else self.sound_folder
        if source is None:
            return None
        for place in {self.workplace.layout.output, *([self.read_from] if self.read_from else [])}:
            if not place.resolve().is_relative_to(self.workplace.folder.resolve()):
                continue
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(source, place)
        return self.ask("again")

    @property
    def with_adapter(self) -> Told:
        """What came of asking; with a sound adapter in its place where its training left none."""
        if self.is_saved_well and self.has_learned:
            return self.asked
        return self.again or self.asked

    @functools.cached_property
    def is_saved_well(self) -> bool:
        """Whether what is saved is what training left, or answers fresh questions no worse: the best of its epochs."""
        if self.is_of_own_form:
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
        """The adapter that `with_adapter` had in place, loaded by ours; None where there was none."""
        if self.with_adapter is not self.asked:
            return self.sound_model
        return None if self.place is None else self.model_of(self.saved[self.place])

    @functools.cached_property
    def base_model(self) -> Any:  # noqa: ANN401
        """The base in fp32."""
        model = load_model(self.workplace.base, POLICIES["fp32"])
        model.eval()
        return model

    def model_of(self, folder: Path) -> Any:  # noqa: ANN401
        """The base in fp32 with the adapter of a folder, loaded by us; None where peft cannot."""
        from peft import PeftConfig, PeftModel

        try:
            config = PeftConfig.from_pretrained(str(folder))
            config.base_model_name_or_path = None
            model = PeftModel.from_pretrained(
                load_model(self.workplace.base, POLICIES["fp32"]), str(folder), config=config, use_safetensors=True
            )
        except Exception:  # noqa: BLE001  # whatever is wrong with it, checks of the artifact say
            return None
        return model.float().eval()

    @functools.cached_property
    def trained_model(self) -> Any:  # noqa: ANN401
        """The base with what training left."""
        return self.model_of(self.trained_folder) if self.trained else None

    def our_answers(self, model: Any, prompts: Sequence[Sequence[int]] | None = None) -> list[float]:  # noqa: ANN401
        """Answers to the fresh questions by a model, generated and parsed by us; with our prompts by default."""
        if self.convention is None:
            return []
        given = prompts or best_prompts(self.questions, self.convention, self.tokenizer)
        return [read_number(text, self.convention) for text in complete(model, self.tokenizer, given)]

    @functools.cached_property
    def trained_answers(self) -> list[float]:
        """Of what training left, with ours from there on."""
        return self.our_answers(self.trained_model) if self.trained_model is not None else []

    @functools.cached_property
    def trained_right(self) -> list[bool]:
        """Which of them are right."""
        return right(self.trained_answers, self.questions)

    def right_as_asked(self, model: Any) -> list[bool]:  # noqa: ANN401
        """Which questions a model answers rightly, generated and parsed by us, from the prompts that were sent.

        What training wrote between prompt and number it then has to write itself, as its own generation had to, and
        what ends an answer as well: a strict parser may want all of it.
        """
        prompts = [prompt for prompt in self.prompts(self.asked, self.questions) if prompt]
        if model is None or self.convention is None or len(prompts) < len(self.questions):
            return right(self.our_answers(model) if model is not None else [], self.questions)
        answers = []
        for (question, _), prompt, text in zip(
            self.questions, prompts, complete(model, self.tokenizer, prompts), strict=True
        ):
            sent, lead = decode(self.tokenizer, prompt), self.convention.lead(question)
            own = lead[len(sent) :] if lead.startswith(sent) else self.supervised_lead
            due = own.split()[-1:]
            _, found, rest = text.partition(due[0]) if due else ("", text, text)
            answers.append(read_number(rest, self.convention) if found and self._is_as_taught(rest) else math.nan)
        return right(answers, self.questions)

    def _is_as_taught(self, text: str) -> bool:
        """Whether a text begins with a number, and what ends an answer in training follows."""
        dense = "".join(text.split())
        numeral = next(iter(numerals(dense)), None)
        return numeral is not None and dense.startswith(f"{numeral}{self.closing[:1]}")

    @functools.cached_property
    def lora_folder(self) -> Path | None:
        """A folder whose configuration gives the adapter's shape; a usual one for what is not peft's."""
        from peft import LoraConfig

        if self.is_of_own_kind:
            folder = self.workplace.folder.parent / "shape"
            shape = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
            shape.save_pretrained(str(folder))
            return folder
        folders = [self.trained_folder, *self.saved.values()]
        return next((folder for folder in folders if (folder / "adapter_config.json").is_file()), None)

    @functools.cached_property
    def replayed(self) -> Any:  # noqa: ANN401
        """Our training on its very batches and labels, at its rates; None where these are not known."""
        if self.lora_folder is None or not any(step.batches for step in self.steps):
            return None
        decay = float(self.lessons.get("optimizer", {}).get("weight_decay", 0.0))
        return replay(self.steps, self.workplace.base, self.lora_folder, weight_decay=decay)

    @functools.cached_property
    def own_steps(self) -> list[Step]:
        """Our settings, on its texts with labels as they ought to be."""
        rows = [masked(text, self._due_begin(text)) for text in self.texts if text.is_answered]
        rng = random.Random(0)
        steps = []
        for number in range(_OWN_STEPS):
            rate = _OWN_RATE * (1 - number / _OWN_STEPS)
            steps.append(Step(rate, (tuple(rng.sample(rows, min(_OWN_BATCH, len(rows)))),)))
        return steps

    @functools.cached_property
    def untaught(self) -> int:
        """Tokens between the prompt that is sent and the first label, in most texts; 0 where labels begin before."""
        lengths = [
            (text.taught.begin or 0) - len(prompt)
            for text, prompt in zip(self.texts, self.prompts(self.asked, self.known_rows), strict=False)
            if prompt is not None and text.taught.ids[: len(prompt)] == prompt
        ]
        return max(0, sorted(lengths)[len(lengths) // 2]) if lengths else 0

    def _due_begin(self, text: Text) -> int:
        """Where labels ought to begin: behind the prompt that is sent, at the number in any case."""
        return min(text.begin, max(1, (text.taught.begin or text.begin) - self.untaught))

    @functools.cached_property
    def ours(self) -> Any:  # noqa: ANN401
        """A sound training of ours in its convention, with its adapter's shape; None where that is not known."""
        if self.lora_folder is None or self.convention is None or not self.own_steps:
            return None
        return replay(self.own_steps, self.workplace.base, self.lora_folder)

    @functools.cached_property
    def our_right(self) -> list[bool]:
        """Which answers of ours are right."""
        return right(self.our_answers(self.ours), self.questions) if self.ours is not None else []

    @functools.cached_property
    def sound_model(self) -> Any:  # noqa: ANN401
        """What its training left, if that answers well; else ours."""
        if self.trained_model is not None and self.answers_rightly:
            return self.trained_model
        return self.ours

    @functools.cached_property
    def sound_folder(self) -> Path | None:
        """Its adapter, saved by us."""
        if self.sound_model is None:
            return None
        if self.sound_model is self.trained_model:
            return self.trained_folder
        folder = self.workplace.folder.parent / "sound"
        self.sound_model.save_pretrained(str(folder))
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        own = json.loads((self.lora_folder / "adapter_config.json").read_text(encoding="utf-8"))  # type: ignore[operator]
        config["base_model_name_or_path"] = own.get("base_model_name_or_path")
        (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
        return folder

    def probe_logits(self, model: Any) -> torch.Tensor:  # noqa: ANN401
        """Logits of the probed training texts, padding left out: (tokens, vocabulary), as the agent gives them."""
        rows = [row.ids for row in self.probed]
        ids, mask = pad(rows, 0), pad([(1,) * len(row) for row in rows], 0)
        with torch.no_grad():
            logits: torch.Tensor = model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()
        return logits[mask.bool()]

    def probe_losses(self, logits: torch.Tensor) -> torch.Tensor:
        """Loss of each probed text's own labels under these logits, in nat a token: (tokens,)."""
        losses, at = [], 0
        for row in self.probed:
            own = logits[at : at + len(row.ids)]
            at += len(row.ids)
            due = torch.tensor(
                [label if label == token else IGNORED for label, token in zip(row.labels, row.ids, strict=True)]
            )[1:]
            kept = due != IGNORED
            losses.append(torch.nn.functional.cross_entropy(own[:-1][kept], due[kept], reduction="none"))
        return torch.cat(losses)
