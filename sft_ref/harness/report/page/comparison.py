"""The page of a comparison: a verdict, a strip, and sections with tables. It knows nothing of what is compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .render import render


@dataclass(frozen=True)
class TableCell:
    """One cell of a table.

    Attributes:
        text: in the first line; a badge where there is a kind.
        kind: of the badge, which chooses its colour: ``pass``, ``drift``, ``fail`` or ``skipped``; empty: plain text.
        lines: below it.
        is_number: whether it is aligned to the right.
    """

    text: str
    kind: str = ""
    lines: tuple[str, ...] = ()
    is_number: bool = False


@dataclass(frozen=True)
class PageTable:
    """A table; the first column of its rows names them.

    Attributes:
        caption: what it shows.
        columns: their names.
        rows: a name and its cells each.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[TableCell]]]


@dataclass(frozen=True)
class PageSection:
    """A part of the page below its own heading.

    Attributes:
        heading: of the part.
        kind: ``broken``, ``drift``, or empty; it chooses the colour beside the part.
        facts: term -> text.
        table: what it shows as a table.
        lines: what it says as a list.
    """

    heading: str
    kind: str = ""
    facts: Sequence[tuple[str, str]] = ()
    table: PageTable | None = None
    lines: Sequence[str] = ()


@dataclass(frozen=True)
class ComparisonPage:
    """What a page of a comparison shows.

    Attributes:
        title: what is compared.
        word: the verdict.
        kind: of the verdict, which chooses its colour, as in `TableCell`.
        meaning: one sentence.
        strip: a name, its state in words, and what colours it: ``cleared``, ``at-fault``, ``contract-broken`` or
            ``not-examined``.
        sections: in their order.
    """

    title: str
    word: str
    kind: str
    meaning: str
    strip: Sequence[tuple[str, str, str]]
    sections: Sequence[PageSection]


def write_comparison(page: ComparisonPage, path: Path) -> None:
    """Writes the page of a comparison.

    Raises:
        OutputError: the file cannot be written.
    """
    render(path, "comparison.html", title=f"{page.title}: {page.word}", page=page)
