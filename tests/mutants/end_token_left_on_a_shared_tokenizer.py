"""add_eos_token, switched on for training texts, is still on when questions are asked."""

import functools

from mutation import Mutant
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerBase

from sft_ref.reference.models import load_tokenizer
from sft_ref.reference.prompt import format_example
from sft_ref.reference.tokens import Example


def add_end(tokenizer: PreTrainedTokenizerBase, question: str, value: float) -> Example:
    end = (tokenizer.eos_token, tokenizer.eos_token_id)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"$A {end[0]}", special_tokens=[end])
    text = format_example(question, value)
    prompt = tokenizer(text["question"], add_special_tokens=False)["input_ids"]
    target = tokenizer(text["answer"])["input_ids"]
    return Example((*prompt, *target), len(target))


SHARED = functools.cache(load_tokenizer)

MUTANT = Mutant(
    id="end-left-on",
    stage="tokens",
    checks=("TOK-008",),
    fault="tokenizing training texts makes the shared tokenizer end every prompt",
    source="ours",
    patches={
        "sft_ref.reference.models.load_tokenizer": SHARED,
        "sft_ref.reference.base_llm.load_tokenizer": SHARED,
        "sft_ref.reference.tokens.tokenize_example": add_end,
    },
)
