"""The adapter is loaded by ``load_adapter`` of transformers, without peft's wrapper around the model.

Accuracy 0.97; the reference 0.97. Logits and completions are the reference's.
"""

from pathlib import Path
from typing import Any

from _varied import Varied
from mutation import Control

from sft_ref.reference.base_llm import BaseLLM
from sft_ref.reference.precision import default_policy, find_device


class LoadedByTransformers(Varied):
    def load(self, folder: Path) -> Any:
        llm = BaseLLM(self.base, policy=default_policy(find_device()))
        llm.model.load_adapter(str(folder))
        llm.model.eval()
        return llm


CONTROL = Control(
    "loaded_by_transformers",
    "the loaded adapter sits in the base model itself, without peft's wrapper",
    lambda: LoadedByTransformers("loaded_by_transformers", {}),
)
