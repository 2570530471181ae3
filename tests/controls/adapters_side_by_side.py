"""All adapters are loaded into one model under names of their own, and each answerer activates its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutation import Control
from peft import PeftModel
from plain_loop import PLAIN, Answers, PlainLoop


@dataclass
class Named(Answers):
    adapter: str = ""

    def batched_generate(
        self, prompts: Sequence[str], num_return_sequences: int | None = None, temperature: float = 0
    ) -> list[Any]:
        self.model.set_adapter(self.adapter)
        return super().batched_generate(prompts, num_return_sequences, temperature)


class AdaptersSideBySide(PlainLoop):
    def load(self, folder: Path) -> Answers:
        model: Any = getattr(self, "shared", None)
        name = f"adapter_{len(model.peft_config) if model else 0}"
        if model is None:
            self.shared = model = PeftModel.from_pretrained(self._load_base(self.load_dtype), folder, adapter_name=name)
        else:
            model.load_adapter(folder, adapter_name=name)
        model.set_adapter(name)
        return Named(model.eval(), self.tokenizer(), self, name)


CONTROL = Control(
    "adapters_side_by_side",
    "one model holds every adapter by name, and each answerer activates its own before it answers",
    lambda: AdaptersSideBySide("adapters_side_by_side", convention=PLAIN),
)
