"""Page of a comparison: a verdict, a strip, and sections with tables; independent of the compared things."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .render import render


@dataclass(frozen=True)
class TableCell:
    """One cell of a table.

    Attributes:
        text: text of the first line; shown as a badge if `kind` is set.
        kind: kind of the badge, which selects its colour: ``pass``, ``drift``, ``fail`` or ``skipped``; empty for plain
            text.
        lines: lines below `text`.
        is_number: whether the cell is aligned to the right.
    """

    text: str
    kind: str = ""
    lines: tuple[str, ...] = ()
    is_number: bool = False


@dataclass(frozen=True)
class PageTable:
    """A table; the first column contains the names of the rows.

    Attributes:
        caption: caption of the table.
        columns: names of the columns.
        rows: the name and the cells of each row.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[TableCell]]]


@dataclass(frozen=True)
class PageSection:
    """A section of the page with a heading.

    Attributes:
        heading: heading of the section.
        kind: ``broken``, ``drift``, or empty; selects the colour beside the section.
        facts: pairs of a term and its text.
        table: table in the section, if any.
        lines: items of a list in the section.
    """

    heading: str
    kind: str = ""
    facts: Sequence[tuple[str, str]] = ()
    table: PageTable | None = None
    lines: Sequence[str] = ()


@dataclass(frozen=True)
class ComparisonPage:
    """Content of the page of a comparison.

    Attributes:
        title: name of the comparison.
        word: the verdict in one or two words.
        kind: kind of the verdict, which selects its colour, as in `TableCell`.
        meaning: meaning of the verdict, one sentence.
        strip: for each item its name, its state in words, and the class that selects its colour: ``cleared``,
            ``at-fault``, ``contract-broken`` or ``not-examined``.
        sections: sections in page order.
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
