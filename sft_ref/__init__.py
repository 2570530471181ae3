"""A minimal reference for supervised fine-tuning with LoRA, and a test harness around it.

Names that need torch are imported on first use, so that help and completion are instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from sft_ref.reference.data import Score, is_answer_valid, score, split_rows
from sft_ref.reference.guards.rows import load_rows
from sft_ref.reference.prompt import format_example, format_prompt, format_value, parse_answer
from sft_ref.reference.questions import generate_rows
from sft_ref.reference.settings import Settings

from .errors import PrecisionMismatchError, SftRefError

if TYPE_CHECKING:
    from sft_ref.reference.base_llm import BaseLLM
    from sft_ref.reference.sft import load, test, test_model, train, train_model
    from sft_ref.witnessing.training.callback import Witness, witness
    from sft_ref.witnessing.verifying.verify import verify

__all__ = [
    "BaseLLM",
    "PrecisionMismatchError",
    "Score",
    "Settings",
    "SftRefError",
    "Witness",
    "format_example",
    "format_prompt",
    "format_value",
    "generate_rows",
    "is_answer_valid",
    "load",
    "load_rows",
    "parse_answer",
    "score",
    "split_rows",
    "test",
    "test_model",
    "train",
    "train_model",
    "verify",
    "witness",
]

_HOMES = {
    "BaseLLM": "reference.base_llm",
    **dict.fromkeys(("load", "test", "test_model", "train", "train_model"), "reference.sft"),
    **dict.fromkeys(("Witness", "witness"), "witnessing.training.callback"),
    "verify": "witnessing.verifying.verify",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
