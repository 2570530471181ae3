"""Greedy completions are drafted from n-grams of the prompt and checked by the model.

Accuracy 1.00; the reference 1.00. Of 32 greedy completions, all equal the reference's.
"""

from pathlib import Path
from typing import Any

from _varied import Varied
from mutation import Control
from transformers import GenerationConfig


def complete(llm: Any, prompt: str) -> str:
    batch = llm.tokenizer(prompt, return_tensors="pt").to(llm.device)
    config = GenerationConfig(
        max_new_tokens=llm.max_new_tokens,
        do_sample=False,
        prompt_lookup_num_tokens=4,
        eos_token_id=llm.tokenizer.eos_token_id,
        pad_token_id=llm.tokenizer.pad_token_id,
    )
    ids = llm.model.generate(**batch, generation_config=config)
    text: str = llm.tokenizer.decode(ids[0, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    return text


class LookingUp(Varied):
    def load(self, folder: Path) -> Any:
        llm: Any = super().load(folder)
        plain = llm._complete

        def complete_all(prompts: list[str], each: int, temperature: float) -> list[str]:
            if temperature > 0:
                texts: list[str] = plain(prompts, each, temperature)
                return texts
            return [complete(llm, prompt) for prompt in prompts]

        llm._complete = complete_all
        return llm


CONTROL = Control("prompt_lookup", "greedy decoding is speculative", lambda: LookingUp("prompt_lookup", {}))
