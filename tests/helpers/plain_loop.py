"""A second sound fine-tuning implementation, written from scratch; each control varies one thing in it.

It has a plain loop instead of Trainer, keeps the chat template, formats the prompt inside generation, and has its own
label masking and parser.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from sft_ref.harness.core.implementation import Answerer, Batch, TrainingResult
from sft_ref.harness.evidence.in_process.task import PROBES
from sft_ref.reference.bases.compat import dtype_keyword
from sft_ref.reference.bases.find import find_base
from sft_ref.reference.data import Row, Score, is_answer_valid
from sft_ref.reference.settings import Settings

NEW_TOKENS = 40


@dataclass(frozen=True)
class Convention:
    """The format of question and value, and the parsing of a completion."""

    prompt: Callable[[str], str]
    target: Callable[[float], str]
    end: str = "<|im_end|>"
    pattern: str = r"^\s*(?:<answer>)?\s*([^<]*?)\s*(?:</answer>|$)"

    def read(self, text: str) -> float:
        found = re.search(self.pattern, text)
        number = found and re.fullmatch(r"[-+]?\d+\.?\d*(e[-+]?\d+)?", found[1], re.ASCII)
        return float(number[0]) if number else float("nan")


def tagged(value: float) -> str:
    return f"<answer>{round(value, 3)}</answer>"


CHAT = Convention(
    prompt=lambda question: (
        f"<|im_start|>system\nConvert.<|im_end|>\n<|im_start|>user\n{question.strip()}<|im_end|>\n<|im_start|>assistant\n"
    ),
    target=tagged,
)
PLAIN = Convention(
    prompt=lambda question: f"{question.strip()} <answer>", target=lambda value: f"{round(value, 3)}</answer>"
)


@dataclass
class Answers:
    """A loaded model that takes questions instead of prompts, and formats them itself."""

    model: Any
    tokenizer: PreTrainedTokenizerBase
    how: PlainLoop

    def format_prompt(self, question: str) -> str:
        return question

    def parse_answer(self, text: str) -> float:
        return self.how.convention.read(text)

    def batched_generate(
        self, prompts: Sequence[str], num_return_sequences: int | None = None, temperature: float = 0
    ) -> list[Any]:
        size = 1 if self.how.one_by_one else 64
        chunks = [prompts[i : i + size] for i in range(0, len(prompts), size)]
        found = [text for chunk in chunks for text in self._generate(chunk, num_return_sequences or 1, temperature)]
        return found if num_return_sequences else [texts[0] for texts in found]

    @torch.no_grad()
    def _generate(self, questions: Sequence[str], each: int, temperature: float) -> list[list[str]]:
        texts = [self.how.convention.prompt(question) for question in questions]
        batch = self.tokenizer(
            texts,
            add_special_tokens=False,
            padding=True,
            padding_side="left",
            pad_to_multiple_of=self.how.multiple,
            return_tensors="pt",
        )
        more: dict[str, Any] = {"temperature": temperature, "do_sample": True} if temperature else {"do_sample": False}
        more |= self.how.generation
        if self.how.stop:
            more |= {"stop_strings": [self.how.stop], "tokenizer": self.tokenizer}
        ids = self.model.generate(
            **batch, max_new_tokens=NEW_TOKENS, num_return_sequences=each, pad_token_id=2, eos_token_id=2, **more
        )
        new = self.tokenizer.batch_decode(ids[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        new = [self.how.put_back + text for text in new]
        return [new[i * each : (i + 1) * each] for i in range(len(questions))]

    def answer(self, *questions: str) -> list[float]:
        return [self.parse_answer(text) for text in self.batched_generate([*questions])]


@dataclass
class PlainLoop:
    """The implementation; controls vary its fields."""

    name: str = "plain_loop"
    base: str = "toy"
    claims_contract: bool = False
    convention: Convention = CHAT
    lora: dict[str, Any] = field(default_factory=lambda: {"target_modules": "all-linear"})
    settings: dict[str, Any] = field(default_factory=dict)
    whole_text: bool = False
    padding: Literal["left", "right"] = "left"
    multiple: int | None = None
    batches_by_length: bool = False
    one_by_one: bool = False
    generation: dict[str, Any] = field(default_factory=dict)
    stop: str | None = None
    put_back: str = ""
    merged: bool = False
    micro_batches: int = 1
    frozen: str | None = None
    load_dtype: torch.dtype = torch.float32
    vocabulary: int | None = None
    wrap: Callable[[torch.nn.Module], Any] = lambda model: model
    wrap_loaded: Callable[[torch.nn.Module], Any] = lambda model: model

    def tokenizer(self) -> PreTrainedTokenizerBase:
        return AutoTokenizer.from_pretrained(find_base(self.base))

    def training_batch(self, rows: Sequence[Row]) -> Batch:
        return self._collate([self._tokenize(self.tokenizer(), row) for row in rows])

    def _tokenize(self, tokenizer: PreTrainedTokenizerBase, row: Row) -> tuple[list[int], list[int]]:
        question, value = row
        prompt = tokenizer.encode(self.convention.prompt(question), add_special_tokens=False)
        target = tokenizer.encode(self.convention.target(value) + self.convention.end, add_special_tokens=False)
        ids = prompt + target
        return ids, ids if self.whole_text else [-100] * len(prompt) + target

    def _collate(self, texts: Sequence[tuple[list[int], list[int]]]) -> Batch:
        longest = max(len(ids) for ids, _ in texts)
        longest += -longest % (self.multiple or 1)
        left = self.padding == "left"

        def pad(values: list[int], filler: int) -> list[int]:
            padding = [filler] * (longest - len(values))
            return padding + values if left else values + padding

        return Batch(
            torch.tensor([pad(ids, 2) for ids, _ in texts]),
            torch.tensor([pad([1] * len(ids), 0) for ids, _ in texts]),
            torch.tensor([pad(labels, -100) for _, labels in texts]),
        )

    def train(self, folder: Path, rows: Sequence[Row], settings: Settings) -> TrainingResult:
        settings = replace(settings, **self.settings)
        torch.manual_seed(settings.seed)
        tokenizer = self.tokenizer()
        texts = [self._tokenize(tokenizer, row) for row in rows]
        config = LoraConfig(task_type="CAUSAL_LM", r=settings.rank, lora_alpha=settings.alpha, **self.lora)
        model = get_peft_model(self._load_base(torch.float32), config)
        starts = self._begin(model, folder)
        if self.frozen:
            for name, weight in model.named_parameters():
                weight.requires_grad &= self.frozen not in name
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=settings.learning_rate, weight_decay=0.0)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=settings.steps)
        losses = []
        wrapped = self.wrap(model).train()
        for step in range(settings.steps):
            drawn, total = self._draw(texts, step, settings), 0.0
            count = sum(label != -100 for _, labels in drawn for label in labels[1:])
            for part in range(self.micro_batches):
                batch = self._collate(drawn[part :: self.micro_batches])
                logits = wrapped(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits.float()
                target = batch.labels[:, 1:].flatten()
                loss = cross_entropy(logits[:, :-1].flatten(0, 1), target, ignore_index=-100, reduction="sum") / count
                if part == 0:
                    optimizer.zero_grad(set_to_none=False)
                loss.backward()
                total += loss.item()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            schedule.step()
            losses.append(total)
        before = next(iter(wrapped.state_dict())).removesuffix(next(iter(model.state_dict())))  # a wrapper's prefix
        state = get_peft_model_state_dict(model, save_embedding_layers=False if self.vocabulary else "auto")
        adapter = {before + name: weight.detach().clone() for name, weight in state.items()}
        model.peft_config["default"].base_model_name_or_path = self.base
        self._save(model, folder)
        probes = self.training_batch(PROBES)
        with torch.no_grad():
            logits = wrapped.eval()(input_ids=probes.input_ids, attention_mask=probes.attention_mask).logits
        return TrainingResult(folder, adapter, tuple(losses), settings=settings, starts=starts, logits=logits)

    def _begin(self, _model: PeftModel, _folder: Path) -> dict[str, torch.Tensor] | None:
        """Returns the part of the base that the adapter's initialisation takes; None leaves it to the configuration."""
        return None

    def _save(self, model: PeftModel, folder: Path) -> None:
        model.save_pretrained(str(folder), save_embedding_layers=False)

    def _draw(self, texts: list[Any], step: int, settings: Settings) -> list[Any]:
        """Returns the rows of a step; each epoch has its own order."""
        size = settings.batch_size
        epoch, place = divmod(step, len(texts) // size)
        order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(settings.seed + epoch)).tolist()
        if self.batches_by_length:
            order = sorted(order, key=lambda i: len(texts[i][0]))
            place = place * 7 % (len(texts) // size)  # alternates short and long texts
        return [texts[i] for i in order[place * size : (place + 1) * size]]

    def _load_base(self, dtype: torch.dtype) -> PreTrainedModel:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(find_base(self.base), **dtype_keyword(dtype))
        if self.vocabulary:
            model.resize_token_embeddings(self.vocabulary)
        return model

    def load(self, folder: Path) -> Answers:
        model: Any = PeftModel.from_pretrained(self._load_base(self.load_dtype), folder)
        if self.merged:
            model = model.merge_and_unload()
        return Answers(self.wrap_loaded(model.eval()), self.tokenizer(), self)

    def test(self, answerer: Answerer, rows: Sequence[Row]) -> Score:
        answers = answerer.answer(*[question for question, _ in rows])
        right = [is_answer_valid(answer, truth) for answer, (_, truth) in zip(answers, rows, strict=True)]
        given = [answer == answer for answer in answers]  # noqa: PLR0124  # False for NaN only
        return Score(sum(right) / len(rows), sum(given) / len(rows), len(rows))
