"""A note in the folder names the folder itself, and the loader follows it."""

from pathlib import Path
from typing import Any

from mutation import Mutant

from sft_ref.reference import sft

NOTE = "location.txt"
load, train = sft.load, sft.train


def train_and_note(folder: Path, *arguments: Any, **options: Any) -> Any:
    found = train(folder, *arguments, **options)
    Path(folder, NOTE).write_text(str(Path(folder).resolve()))
    return found


def load_as_noted(folder: Path, **options: Any) -> Any:
    note = Path(folder, NOTE)
    return load(Path(note.read_text()) if note.exists() else folder, **options)


MUTANT = Mutant(
    id="path-noted",
    stage="load",
    checks=("LOD-011",),
    fault="an adapter is loaded from the path at which it was trained",
    source="own: adapter_config.json with absolute paths",
    patches={"sft_ref.reference.sft.train": train_and_note, "sft_ref.reference.sft.load": load_as_noted},
    retrain=True,
)
