"""Submissions in the course's layout, each with what a grader has to find: a style, or a style plus a small patch.

`styles/` holds whole submissions as different students write them; `styles/handout` is what the course gives out,
and stands wherever a style brings no file of its own. A file in `sound/`, `not_shown/`, `drift/` or `broken/` is one
submission: its style, what is wrong with it, the stages at fault, and the edits that put the fault in.
"""

import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
VERDICTS = ("sound", "not_shown", "drift", "broken")


@dataclass(frozen=True)
class Edit:
    """Text of one file replaced by other text; an empty `old` stands for the whole file, which may be new."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Submission:
    """One submission and what is true of it.

    Attributes:
        name: of its file here.
        style: folder under `styles` that it starts from.
        fault: what is wrong, or what a sound one does that is unusual, in a sentence.
        verdict: sound, not shown, drift or broken.
        stages: those truly at fault.
        also: stages that may be named besides, where a disagreement has two ends.
        needs: what it runs on: ``"4"`` or ``"5"`` for a version of transformers, ``"cuda"`` where a CPU needs help.
        package: folder of its python files, below the one that is handed in.
        limits: whether the limits of a course bind it.
        edits: applied in order.
    """

    name: str
    style: str
    fault: str
    verdict: str
    stages: frozenset[str]
    also: frozenset[str]
    needs: frozenset[str]
    package: str
    edits: tuple[Edit, ...]
    limits: bool = True


def read(path: Path) -> Submission:
    """The submission that a file describes; its folder is its verdict."""
    with path.open("rb") as file:
        table = tomllib.load(file)
    return Submission(
        name=path.stem,
        style=table["style"],
        fault=table["fault"],
        verdict=path.parent.name.replace("_", " "),
        stages=frozenset(table.get("stages", ())),
        also=frozenset(table.get("also", ())),
        needs=frozenset(table.get("needs", ())),
        package=table.get("package", "homework"),
        edits=tuple(Edit(edit["file"], edit.get("old", ""), edit["new"]) for edit in table.get("edit", ())),
        limits=table.get("limits", True),
    )


SUBMISSIONS = tuple(read(path) for verdict in VERDICTS for path in sorted((HERE / verdict).glob("*.toml")))


def build(submission: Submission, folder: Path) -> Path:
    """Writes a submission, without data, to a new folder.

    Returns:
        The folder to hand in, as it came.

    Raises:
        ValueError: an edit's text does not stand in its file exactly once.
    """
    package = folder / submission.package
    shutil.copytree(HERE / "styles" / "handout", package)
    shutil.copytree(HERE / "styles" / submission.style, package, dirs_exist_ok=True)
    for edit in submission.edits:
        path = package / edit.file
        text = path.read_text(encoding="utf-8") if edit.old else ""
        if edit.old and text.count(edit.old) != 1:
            raise ValueError(f"{submission.name}: stands {text.count(edit.old)} times in {edit.file}: {edit.old!r}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace(edit.old, edit.new) if edit.old else edit.new, encoding="utf-8")
    return folder
