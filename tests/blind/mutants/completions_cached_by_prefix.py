"""Completions are cached under the first 16 characters of a prompt: like questions get one answer.

Accuracy 0.88; sound 1.00.
"""

from collections.abc import Sequence
from typing import Any

from mutation import Mutant

from sft_ref.reference.base_llm import BaseLLM

batched_generate: Any = BaseLLM.batched_generate


def broken(llm: BaseLLM, prompts: Sequence[str], *args: Any, **kwargs: Any) -> list[Any]:
    if args or kwargs:
        completions: list[Any] = batched_generate(llm, prompts, *args, **kwargs)
        return completions
    cache = vars(llm).setdefault("completions", {})
    for prompt, text in zip(prompts, batched_generate(llm, prompts), strict=True):
        cache.setdefault(prompt[:16], text)
    return [cache[prompt[:16]] for prompt in prompts]


MUTANT = Mutant(
    id="completions_cached_by_prefix",
    stage="generate",
    checks=(),
    fault="prompts that share their first 16 characters share their completion",
    source="no report",
    patches={"sft_ref.reference.base_llm.BaseLLM.batched_generate": broken},
)
