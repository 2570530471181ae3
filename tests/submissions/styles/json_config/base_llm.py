from __future__ import annotations

import json
import logging

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from .config import CONFIG

logger = logging.getLogger(__name__)

PROMPT = 'Reply in JSON.\nquestion: {question}\nreply: {{"value":'


def build_prompt(question: str) -> str:
    return PROMPT.format(question=question)


class BaseLLM:
    """The model is made to fill in a JSON object that the prompt has opened."""

    def __init__(self, checkpoint: str = CONFIG.checkpoint):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint, padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
        self.model.to(self.device)
        logger.info("loaded %s on %s", checkpoint, self.device)

    def format_prompt(self, question: str) -> str:
        return build_prompt(question)

    def parse_answer(self, answer: str) -> float:
        """The prompt has opened the object, and the model leaves it open."""
        try:
            return float(json.loads('{"value":' + answer + "}")["value"])
        except (ValueError, KeyError, TypeError):
            logger.debug("not JSON: %r", answer)
            return float("nan")

    def generate(self, prompt: str) -> str:
        return self.batched_generate([prompt])[0]

    def batched_generate(
        self, prompts: list[str], num_return_sequences: int | None = None, temperature: float = 0
    ) -> list[str] | list[list[str]]:
        size = CONFIG.generation_batch
        if len(prompts) > size:
            head = self.batched_generate(prompts[:size], num_return_sequences, temperature)
            return head + self.batched_generate(prompts[size:], num_return_sequences, temperature)

        encoded = self.tokenizer(prompts, padding=True, return_tensors="pt").to(self.device)
        sampling = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
        with torch.no_grad():
            sequences = self.model.generate(
                **encoded,
                max_new_tokens=CONFIG.max_new_tokens,
                num_return_sequences=num_return_sequences or 1,
                pad_token_id=self.tokenizer.pad_token_id,
                eos_token_id=self.tokenizer.eos_token_id,
                **sampling,
            )
        completions = self.tokenizer.batch_decode(
            sequences[:, encoded["input_ids"].size(1) :], skip_special_tokens=True
        )
        if num_return_sequences is None:
            return completions
        k = num_return_sequences
        return [completions[k * i : k * (i + 1)] for i in range(len(prompts))]

    def answer(self, *questions: str) -> list[float]:
        prompts = [self.format_prompt(question) for question in questions]
        return [self.parse_answer(text) for text in self.batched_generate(prompts)]
