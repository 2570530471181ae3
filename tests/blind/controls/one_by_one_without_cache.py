"""Prompts are completed one at a time, and each new token computes the whole text again.

Accuracy 1.00; the reference 1.00.
"""

from pathlib import Path
from typing import Any

import torch
from _varied import Varied
from mutation import Control


def complete(llm: Any, prompt: str, temperature: float) -> str:
    ids = llm.tokenizer(prompt, return_tensors="pt")["input_ids"].to(llm.device)
    start = ids.shape[1]
    for _ in range(llm.max_new_tokens):
        scores = llm.model(input_ids=ids, use_cache=False).logits[:, -1].float()
        sampled = temperature > 0
        new = (scores / temperature).softmax(-1).multinomial(1) if sampled else scores.argmax(-1, keepdim=True)
        ids = torch.cat([ids, new], 1)
        if new.item() == llm.tokenizer.eos_token_id:
            break
    text: str = llm.tokenizer.decode(ids[0, start:], skip_special_tokens=True)
    return text


class OneByOne(Varied):
    def load(self, folder: Path) -> Any:
        llm: Any = super().load(folder)

        def complete_all(prompts: list[str], each: int, temperature: float) -> list[str]:
            return [complete(llm, prompt, temperature) for prompt in prompts for _ in range(each)]

        llm._complete = complete_all
        return llm


CONTROL = Control(
    "one_by_one_without_cache",
    "generation has neither batches nor a cache",
    lambda: OneByOne("one_by_one_without_cache", {}),
)
