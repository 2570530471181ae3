"""Reads the cases. A group has commands and files in common; each case changes one file, or adds words to a command."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import files

_STANDS_FOR = {
    "{long path}": "/".join(["n" * 200] * 25),
    "{1500 folders}": "d/" * files.NESTED,
    "{100000 brackets}": "[" * files.DEEP,
    "{deep}": "[" * 400 + "]" * 400,
    "{250 letters}": "n" * 250,
    "{400 zeros}": "0" * 400,
    "{zeros}": "0" * 5000,
    "{long}": "n" * 5000,
    "{surrogate}": "\udc80",
}
"""What no readable file can hold, or TOML itself."""


@dataclass(frozen=True)
class Case:
    """A command line that must be refused.

    Attributes:
        name: group, case and command.
        argv: of `sft-ref`.
        says: part of the message.
        codes: exit codes that are right.
        copies: sound files that stand in the working folder, by name.
        remove: of those, files that are taken away.
        also: path -> text, of files that stand there as well.
        links: path -> target, of links that stand there as well.
        file: that is changed.
        change: how, as `files.change` takes it; None where nothing is changed.
    """

    name: str
    argv: tuple[str, ...]
    says: str
    codes: tuple[int, ...] = (2,)
    copies: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    also: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    file: str = ""
    change: Mapping[str, Any] | None = None

    def make(self, sound: Mapping[str, Path]) -> None:
        """Makes its files in the working folder."""
        for name in self.copies:
            files.copy(sound[name], Path(name))
        for path, text in self.also.items():
            files.change(Path(path), {"text": text})
        for path, target in self.links.items():
            files.change(Path(path), {"link": target})
        for path in self.remove:
            Path(path).unlink()
        if self.change:
            files.change(Path(self.file), self.change)


def read_cases(folder: Path) -> Iterator[Case]:
    """All cases of a folder of TOML files."""
    for path in sorted(folder.glob("*.toml")):
        for group in _filled(tomllib.loads(path.read_text(encoding="utf-8")))["group"]:
            for row in group["cases"]:
                for command in group["commands"]:
                    yield _case(group, row, command)


def _case(group: Mapping[str, Any], row: Mapping[str, Any], command: list[str]) -> Case:
    change = {word: row[word] for word in files.CHANGES if word in row}
    copies = group.get("copies", [])
    needed = ["adapter"] if "adapter" in command and "adapter" not in copies else []
    return Case(
        name=f"{group['name']}: {row['name']} ({' '.join(command)})",
        argv=(*command, *row.get("words", [])),
        says=row["says"],
        codes=tuple(group.get("codes", [2])),
        copies=(*copies, *needed),
        remove=(*group.get("remove", []), *row.get("remove", [])),
        also={**group.get("also", {}), **row.get("also", {})},
        links=group.get("links", {}),
        file=group.get("file", ""),
        change=change or None,
    )


def _filled(value: Any) -> Any:  # noqa: ANN401  # whatever TOML holds
    """With what the words in braces stand for."""
    if isinstance(value, dict):
        return {key: _filled(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each) for each in value]
    if isinstance(value, str):
        for word, text in _STANDS_FOR.items():
            value = value.replace(word, text)
    return value
