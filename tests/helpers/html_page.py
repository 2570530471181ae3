"""Reads an HTML page in tests."""

from __future__ import annotations

from html.parser import HTMLParser


class Page(HTMLParser):
    """The elements of a page, their attributes, and the text outside of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside not in ("script", "style"):
            self.text += f" {data}"

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Returns the attributes of each element with a tag."""
        return [attributes for each, attributes in self.elements if each == tag]

    def says(self, text: str) -> bool:
        """Returns whether the page contains a text, regardless of line wrapping."""
        return text in " ".join(self.text.split())
