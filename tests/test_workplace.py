"""Where a submission is run: what one of its processes left is out of reach for the next."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from sft_ref.harness.isolation import hub
from sft_ref.harness.recorders.submission.layout import find_layout
from sft_ref.harness.recorders.submission.workplace import Workplace
from sft_ref.reference.bases.find import TOY

STAGES = """
import os

def format_prompt(question): return question
def train(): open("here", "w").close()
def load(): return None
def test(): ...

for folder, _, files in os.walk(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))):
    for name in files:
        if name.endswith(".json"):
            open(os.path.join(folder, name), "w").write("forged")
"""


def contents(folder: Path) -> dict[str, str]:
    """Names and hashes of the files of a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_a_later_process_changes_nothing_of_what_an_earlier_one_left(tmp_path: Path) -> None:
    root = tmp_path / "work" / "code"
    root.mkdir(parents=True)
    (root / "finetune.py").write_text(STAGES)
    hub.make_hub(tmp_path / "hub", TOY, ())
    place = Workplace(tmp_path / "work", find_layout(root), TOY, tmp_path / "hub", sys.executable)
    trained = place.run("train", "train", seconds=1.0)
    before = contents(trained.folder)
    assert trained["train"] == {"done": True}
    assert not trained.folder.is_relative_to(place.folder)
    place.run("train", "again", seconds=1.0)
    assert contents(trained.folder) == before
    assert not (place.folder / "out" / "train").exists()
