"""Defines the result of a comparison with a record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sft_ref.errors import SftRefError

Kind = Literal["artifact", "load", "tokenizer", "template", "base", "precision"]

KINDS: tuple[Kind, ...] = ("artifact", "load", "tokenizer", "template", "base", "precision")
"""Kinds of differences, in the order in which they are shown."""


class VerificationError(SftRefError):
    """The loaded model differs from the trained one."""


@dataclass(frozen=True)
class RecordDifference:
    """One difference from the record.

    Attributes:
        kind: where the difference is: the files, how they are loaded, tokenizer, chat template, base model, or
            rounding.
        what: one sentence that says what was trained and what was found.
        remedy: how to fix it.
        size: the size of the difference; `what` contains its unit. None if it has no size.
    """

    kind: Kind
    what: str
    remedy: str
    size: float | None = None

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}; {self.remedy}"


@dataclass(frozen=True)
class Verification:
    """The result of a comparison with a record.

    Attributes:
        differences: all differences; empty for a sound model.
        examined: kinds of differences that were looked for.
        figures: measured distances by name, including those within tolerance.
        notes: parts that could not be compared, with the reason.
    """

    differences: tuple[RecordDifference, ...]
    examined: tuple[Kind, ...]
    figures: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there are no differences."""
        return not self.differences

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of the differences."""
        return frozenset(each.kind for each in self.differences)

    def raise_for_faults(self) -> None:
        """Raises an error if there are differences.

        Raises:
            VerificationError: there are differences; the message contains each.
        """
        if not self.ok:
            raise VerificationError(str(self))

    def __str__(self) -> str:
        head = (
            f"as recorded ({', '.join(self.examined)})"
            if self.ok
            else f"{len(self.differences)} difference{'s' * (len(self.differences) > 1)} from the record"
        )
        figures = [f"{name}: {value:.3g}" for name, value in self.figures.items()]
        return "\n".join([head, *map(str, self.differences), *figures, *(f"note: {note}" for note in self.notes)])

    def as_json(self) -> dict[str, Any]:
        """Returns the result for a JSON file."""
        return {"ok": self.ok, **asdict(self)}


def join(first: Verification, *others: Verification) -> Verification:
    """Joins several comparisons with one record."""
    every = (first, *others)
    seen = {kind for each in every for kind in each.examined}
    return Verification(
        in_order(difference for each in every for difference in each.differences),
        tuple(kind for kind in KINDS if kind in seen),
        {name: value for each in every for name, value in each.figures.items()},
        tuple(dict.fromkeys(note for each in every for note in each.notes)),
    )


def in_order(differences: Iterable[RecordDifference]) -> tuple[RecordDifference, ...]:
    """Sorts differences by kind."""
    return tuple(sorted(differences, key=lambda each: KINDS.index(each.kind)))
