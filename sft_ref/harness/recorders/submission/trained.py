"""Evaluates a submission's trained adapter with the reference."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from sft_ref.harness.core.findings import Unavailable
from sft_ref.harness.core.implementation import Batch
from sft_ref.harness.core.paired import Paired, compare, has_fallen
from sft_ref.harness.evidence.evidence import GOOD
from sft_ref.harness.instruments.answering import complete, generate, read_number, right, training_prompts
from sft_ref.harness.instruments.encoding import decode
from sft_ref.harness.instruments.losses import pad, row_losses
from sft_ref.harness.recorders.submission.agent.inspection import compute_logits
from sft_ref.io.peft_config import read_peft_config
from sft_ref.reference.models import load_model
from sft_ref.reference.precision import POLICIES
from sft_ref.reference.tokens import IGNORE_INDEX

from .captured import Captured

_LED, _TAUGHT = 16, 64
"""Number of training texts that are continued, and number of those whose loss is compared."""


class Trained(Captured):
    """The trained model of a submission, its answers and its logits; each is computed once, on first use."""

    @functools.cached_property
    def base_model(self) -> Any:  # noqa: ANN401
        """The base model in fp32."""
        model = load_model(self.workplace.base, POLICIES["fp32"])
        model.eval()
        return model

    def model_of(self, folder: Path) -> Any:  # noqa: ANN401
        """Loads the base model in fp32 with the adapter of a folder; None if peft cannot."""
        from peft import PeftModel

        try:
            config, base = read_peft_config(folder), load_model(self.workplace.base, POLICIES["fp32"])
            model = PeftModel.from_pretrained(base, str(folder), config=config, use_safetensors=True)
        except Exception:  # noqa: BLE001  # faults are reported by checks of the artifact
            return None
        return model.float().eval()

    @functools.cached_property
    def trained_model(self) -> Any:  # noqa: ANN401
        """The base model with every adapter that was active at the end of training."""
        from peft import set_peft_model_state_dict

        model = self.model_of(self.trained_folder) if self.trained else None
        if model is not None and self.trained_others:
            for name, folder in self.trained_others.items():
                model.add_adapter(name, read_peft_config(folder))
                set_peft_model_state_dict(model, self.read_adapter(folder), adapter_name=name)
            model.base_model.set_adapter(["default", *self.trained_others])
        return model

    def reference_answers(self, model: Any) -> list[float]:  # noqa: ANN401
        """Returns a model's answers to fresh questions, with the reference's prompts, generation and parser."""
        if self.convention is None:
            return []
        prompts = training_prompts(self.questions, self.convention, self.tokenizer)
        return [read_number(text, self.convention) for text in complete(model, self.tokenizer, prompts)]

    @functools.cached_property
    def trained_answers(self) -> list[float]:
        """Answers of the trained model, with the reference for the later stages."""
        return self.reference_answers(self.trained_model) if self.trained_model is not None else []

    @functools.cached_property
    def trained_adapter_correct(self) -> list[bool]:
        """Whether each answer of the trained model is right."""
        return right(self.trained_answers, self.questions)

    @functools.cached_property
    def ends_answers(self) -> bool:
        """Whether the trained model ends half of the completions or more, or is not trained to end them."""
        end, labels = self.tokenizer.eos_token_id, [text.example.labels for text in self.texts if text.is_answered]
        if self.trained_model is None or self.convention is None or not _is_most(end in row[-1:] for row in labels):
            return True
        prompts = training_prompts(self.questions, self.convention, self.tokenizer)
        return _is_most(end in row for row in generate(self.trained_model, self.tokenizer, prompts))

    @functools.cached_property
    def added(self) -> frozenset[int]:
        """Tokens of training texts that the base model's tokenizer does not have."""
        return frozenset(token for row in self.foreign for token in row.ids if token >= len(self.tokenizer))

    def probe_logits(self, model: Any) -> torch.Tensor:  # noqa: ANN401
        """Returns logits of the probed training texts without padding, in the agent's layout: (tokens, vocabulary).

        Raises:
            Unavailable: there are no such texts.
        """
        rows = [row.ids for row in self.probed if row.ids]
        if not rows:
            raise Unavailable("no text that the base's tokenizer knows reached the model in training")
        return compute_logits(model, rows)[0]

    def probe_losses(self, logits: torch.Tensor) -> torch.Tensor:
        """Returns the loss of each probed text's labels, or of all tokens if it has none, in nat per token: (tokens,).

        Raises:
            Unavailable: there are no such labels.
        """
        losses, at = [], 0
        for row in self.probed:
            own = logits[at : at + len(row.ids)]
            at += len(row.ids)
            labels = row.labels if row.begin is not None else row.ids
            due = torch.tensor(
                [label if label == token else IGNORE_INDEX for label, token in zip(labels, row.ids, strict=True)]
            )[1:]
            kept = due != IGNORE_INDEX
            losses.append(torch.nn.functional.cross_entropy(own[:-1][kept], due[kept], reduction="none"))
        if not sum(map(len, losses)):
            raise Unavailable("no token of the training texts has its own id as its label")
        return torch.cat(losses)

    def supervised_losses(self, model: Any) -> torch.Tensor:  # noqa: ANN401
        """Returns the supervised loss of training texts, in nat per token: (texts,).

        Raises:
            Unavailable: there are no such texts.
        """
        rows = [row for row in self.readable[:_TAUGHT] if row.ids]
        if not rows:
            raise Unavailable("no text that the base's tokenizer knows reached the model in training")
        labels = [row.labels if row.begin is not None else row.ids for row in rows]
        ids, mask = pad([row.ids for row in rows], 0), pad([(1,) * len(row.ids) for row in rows], 0)
        return row_losses(model, Batch(ids, mask, pad(labels, IGNORE_INDEX)))

    @property
    def is_custom_lora(self) -> bool:
        """Whether the trained adapter is not peft's, and only its logits are known."""
        return self.trained_model is None and self.trained_logits is not None

    @functools.cached_property
    def trained_logits(self) -> torch.Tensor | None:
        """Logits of the probed texts, in the layout of `probe_logits`, by the base model with the trained adapter.

        For an adapter that is not peft's, they are those that the model itself computed; None if unknown.
        """
        if self.trained_model is not None:
            return self.probe_logits(self.trained_model) if self.probed else None
        logits = self.training.tensors("trained_logits").get("logits")
        tokens = sum(len(row.ids) for row in self.probed)
        return None if self.foreign or logits is None or len(logits) != tokens else logits

    @functools.cached_property
    def predicts_training_numbers(self) -> bool:
        """Whether these logits predict most supervised numbers as the argmax, from the first token to the last."""
        if self.trained_logits is None:
            return False
        texts = {text.example: text for text in self.texts if text.is_answered}
        known, at = [], 0
        for row in self.probed:
            own = self.trained_logits[at : at + len(row.ids)].argmax(-1).tolist()
            at += len(row.ids)
            if text := texts.get(row):
                known.append(own[text.begin - 1 : text.end - 1] == list(row.ids[text.begin : text.end]))
        return sum(known) >= GOOD * len(known) > 0

    @functools.cached_property
    def fall(self) -> Paired:
        """Paired fall of the loss of supervised tokens by training: most of them are learned long before numbers."""
        if self.is_custom_lora and self.trained_logits is not None:
            return compare(*map(self.probe_losses, (self.probe_logits(self.base_model), self.trained_logits)))
        if self.trained_model is None:
            raise Unavailable("the trained model cannot be run")
        return compare(*(self.supervised_losses(model) for model in (self.base_model, self.trained_model)))

    @property
    def has_moved(self) -> bool:
        """Whether training lowered the loss; right answers are no proof, as a base may give them at a prompt's end."""
        if not self.readable:
            return True
        try:
            return has_fallen(self.fall)
        except Unavailable:
            return False

    def writes_lead(self) -> bool:
        """Returns whether the model writes the texts' lead before a number, since a base may know the numbers."""
        texts = [text for text in self.texts if text.is_answered and 0 < (text.example.begin or 0) < text.begin][:_LED]
        leads = [decode(self.tokenizer, text.example.ids[text.example.begin : text.begin]).strip() for text in texts]
        if not any(leads) or len(set(leads)) > 1:
            return True
        prompts = [text.example.ids[: text.example.begin] for text in texts]
        completions = complete(self.trained_model, self.tokenizer, prompts)
        led = re.compile(re.escape(leads[0]) + r"\s*[-+.\d]")
        return sum(bool(led.match(each.strip())) for each in completions) >= len(completions) / 2


def _is_most(found: Iterable[bool]) -> bool:
    values = list(found)
    return 2 * sum(values) >= len(values) > 0
