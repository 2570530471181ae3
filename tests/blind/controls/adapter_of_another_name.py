"""The adapter is loaded under a name of its own, without memory for weights that are replaced anyway.

Accuracy 0.97; the reference 0.97.
"""

from pathlib import Path

import torch
from mutation import Control
from peft import PeftModel
from plain_loop import PLAIN, Answers, PlainLoop


class Named(PlainLoop):
    def load(self, folder: Path) -> Answers:
        base = self._load_base(torch.float32)
        model = PeftModel.from_pretrained(base, folder, adapter_name="conversions", low_cpu_mem_usage=True)
        return Answers(model.eval(), self.tokenizer(), self)


CONTROL = Control(
    "adapter_of_another_name",
    "the adapter is loaded as 'conversions', with low_cpu_mem_usage",
    lambda: Named("adapter_of_another_name", convention=PLAIN),
)
