"""Inference wrapper around the base model."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from .settings import SETTINGS

logger = logging.getLogger(__name__)


def chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


class BaseLLM:
    def __init__(self, checkpoint: str = SETTINGS.model.name):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint, padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(checkpoint, torch_dtype=torch.float32).to(self.device)
        self.generation = GenerationConfig(
            max_new_tokens=24,
            do_sample=False,
            bos_token_id=self.tokenizer.bos_token_id,
            eos_token_id=self.tokenizer.eos_token_id,
            pad_token_id=self.tokenizer.pad_token_id,
        )

    def format_prompt(self, question: str) -> str:
        return f"{SETTINGS.data.instruction}\nInput: {question}\nOutput:"

    def parse_answer(self, answer: str) -> float:
        try:
            return float(answer.strip())
        except ValueError:
            logger.debug("no number in %r", answer)
            return math.nan

    def generate(self, prompt: str) -> str:
        return self.batched_generate([prompt])[0]

    def batched_generate(
        self, prompts: list[str], num_return_sequences: int | None = None, temperature: float = 0
    ) -> list[str] | list[list[str]]:
        n = num_return_sequences or 1
        config = self.generation
        if temperature > 0 or n > 1:
            config = GenerationConfig(
                **{
                    **config.to_diff_dict(),
                    "do_sample": temperature > 0,
                    "temperature": temperature or 1.0,
                    "num_return_sequences": n,
                    "num_beams": 1 if temperature > 0 else n,
                }
            )
        texts: list[str] = []
        for chunk in chunks(prompts, 25):
            encoded = self.tokenizer(list(chunk), return_tensors="pt", padding="longest").to(self.device)
            with torch.no_grad():
                output = self.model.generate(**encoded, generation_config=config)
            texts += self.tokenizer.batch_decode(
                output[:, encoded["input_ids"].shape[-1] :], skip_special_tokens=True
            )
        if num_return_sequences is None:
            return texts
        return [list(group) for group in chunks(texts, n)]

    def answer(self, *questions: str) -> list[float]:
        completions = self.batched_generate([self.format_prompt(question) for question in questions])
        return [self.parse_answer(completion) for completion in completions]
