"""Golden results: the outcome of each mutant, control and submission, in one file with which a run is compared.

Independent of how a result is found and which results are right: a scoreboard decides that.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from sft_ref.errors import SftRefError
from sft_ref.harness.checks.registry import IDS
from sft_ref.io.atomic_write import check_writable, write_atomic
from sft_ref.io.reading import Refusal, read_json

FILE = Path("baselines", "behaviour.json")
"""Path of the file below the folder of tests."""

NOT_GRADED = "not graded"
"""The verdict on a target that the harness or the machine could not grade; it is never written."""

Key = tuple[str, str]
"""Kind and name of a row."""


class GoldenError(SftRefError):
    """Golden results cannot be read, or must not be written as requested."""


class Behaviour(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A golden row.

    Attributes:
        kind: mutant, control or submission.
        name: name of the submission, or id of the mutant or control.
        verdict: verdict in a word or two.
        stages: stages at fault.
        check: id of the first check that failed; empty if none failed.
        reason: why the row was changed.
    """

    kind: str
    name: str
    verdict: str
    stages: tuple[str, ...]
    check: str
    reason: str = ""

    @property
    def key(self) -> Key:
        """The kind and name, which identify the row."""
        return self.kind, self.name

    @property
    def result(self) -> tuple[str, tuple[str, ...], str]:
        """The compared values; an older id of a check counts as its present id."""
        return self.verdict, self.stages, IDS.get(self.check, self.check)

    def __str__(self) -> str:
        return ", ".join(part for part in (self.verdict, *self.stages, self.check) if part)


class Change(StrEnum):
    """The kind of difference between a run and the file in one row."""

    NEW = "new"
    CHANGED = "changed"
    GONE = "gone"
    VARIES = "varies"
    NOT_GRADED = "not graded"


@dataclass(frozen=True)
class Difference:
    """A row in which a run differs from the file.

    Attributes:
        change: kind of difference.
        key: kind and name of the row.
        text: the found and the expected result.
    """

    change: Change
    key: Key
    text: str

    def __str__(self) -> str:
        return f"{self.change}: {' '.join(self.key)}: {self.text}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a scoreboard that compares its rows with the golden ones."""
    group = parser.add_argument_group("golden results", f"the rows of tests/{FILE}")
    group.add_argument("--golden", action="store_true", help="exit with 1 where a row differs, right or wrong")
    group.add_argument("--update", action="store_true", help="--golden, and write new rows")
    group.add_argument("--reason", metavar="TEXT", help="with --update: write changed rows as well, with this reason")


def read(path: Path, args: argparse.Namespace) -> dict[Key, Behaviour] | None:
    """Reads the golden rows; returns {} if `--update` is to create the file, and None if no option needs them.

    Args:
        path: file path.
        args: the options that `add_arguments` added.

    Raises:
        GoldenError: the file cannot be read, has a row twice, or a reason is given without `--update` or is empty.
        OutputError: the file should be written and cannot be.
    """
    if args.reason is not None and not (args.update and args.reason.strip()):
        raise GoldenError("--reason: belongs to --update, and says in words why rows changed")
    if not (args.golden or args.update):
        return None
    if args.update:
        check_writable(path)
        if not path.exists():
            return {}
    return _rows_of(path)


def _rows_of(path: Path) -> dict[Key, Behaviour]:
    rows = read_json(path, list[Behaviour], Refusal(GoldenError, "restore it, or make it with --update"))
    if twice := [key for key, count in Counter(row.key for row in rows).items() if count > 1]:
        raise GoldenError(f"{path}: holds {' '.join(twice[0])} twice; delete one of the lines")
    return {row.key: row for row in rows}


def compare(golden: Mapping[Key, Behaviour], found: Iterable[Behaviour], existing: Collection[Key]) -> list[Difference]:
    """Returns the rows in which a full or partial run differs from the golden ones, in order.

    Args:
        golden: the rows of the file.
        found: the rows of the run; a name that ran several times has a row for each run.
        existing: keys of everything that can be run, for the kinds in question.
    """
    kinds = {kind for kind, _ in existing}
    gone = [key for key in golden if key[0] in kinds and key not in existing]
    differences = [Difference(Change.GONE, key, "nothing has this name any more; delete its line") for key in gone]
    runs: dict[Key, list[Behaviour]] = {}
    for row in found:
        runs.setdefault(row.key, []).append(row)
    for key, rows in runs.items():
        first = rows[0]
        if any(row.verdict == NOT_GRADED for row in rows):
            differences.append(Difference(Change.NOT_GRADED, key, "run it again"))
        elif other := [row for row in rows if row.result != first.result]:
            differences.append(Difference(Change.VARIES, key, f"{first}; or {other[0]}, in the same run"))
        elif key not in golden:
            differences.append(Difference(Change.NEW, key, f"{first}; has no line yet"))
        elif first.result != golden[key].result:
            differences.append(Difference(Change.CHANGED, key, f"{first}; was {golden[key]}"))
    return sorted(differences, key=lambda each: each.key)


def settle(
    path: Path,
    golden: Mapping[Key, Behaviour],
    found: Sequence[Behaviour],
    existing: Collection[Key],
    args: argparse.Namespace,
) -> int:
    """Prints a line for each difference, writes the rows that the options allow, and returns the exit code.

    Args:
        path: file path.
        golden: the rows of the file.
        found: the rows of the run.
        existing: keys of everything that can be run, for the kinds in question.
        args: the options that `add_arguments` added.

    Returns:
        1 if a difference remains, else 0.

    Raises:
        OutputError: the file cannot be written.
    """
    differences = compare(golden, found, existing)
    allowed = {Change.NEW} if args.update else set()
    if args.reason:
        allowed.add(Change.CHANGED)
    accepted = {each.key: each.change for each in differences if each.change in allowed}
    for each in differences:
        print(f"{each}{' (written)' if each.key in accepted else ''}")
    if accepted:
        rows = {row.key: row for row in found if row.key in accepted}
        given = {
            key: msgspec.structs.replace(row, reason=args.reason if accepted[key] is Change.CHANGED else "")
            for key, row in rows.items()
        }
        now = _rows_of(path) if path.exists() else {}  # another run may have written meanwhile
        write_atomic(path, to_text({**now, **given}.values()))
    left = [each for each in differences if each.key not in accepted]
    if args.update and any(each.change is Change.CHANGED for each in left):
        print("changed rows are left as they were; --update --reason TEXT writes them")
    print(f"golden rows: {len({row.key for row in found})} compared, {len(left)} differ, {len(accepted)} written")
    return int(bool(left))


def to_text(rows: Iterable[Behaviour]) -> str:
    """Returns the rows as text, one per line, sorted by kind and name, so that a diff of the file is one of rows."""
    lines = [json.dumps(msgspec.to_builtins(row), ensure_ascii=False) for row in sorted(rows, key=lambda row: row.key)]
    return "[\n" + ",\n".join(lines) + "\n]\n"
