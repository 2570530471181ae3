"""Load merges the adapter into the fp32 base, which then answers. Accuracy 1.00; the reference 1.00."""

from pathlib import Path
from typing import Any

from _varied import Varied
from mutation import Control


class Merged(Varied):
    def load(self, folder: Path) -> Any:
        llm: Any = super().load(folder)
        llm.model.merge_adapter()
        return llm


CONTROL = Control(
    "merged_when_loaded", "the adapter is merged into the base when loaded", lambda: Merged("merged_when_loaded", {})
)
