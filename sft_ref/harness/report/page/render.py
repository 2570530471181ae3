"""Renders a template as one self-contained page that fetches nothing and runs only its own script."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path

import jinja2
from markupsafe import Markup

from sft_ref.console.printable import printable
from sft_ref.io.atomic_write import write_atomic


def render(path: Path, content: str, *, title: str, **shown: object) -> None:
    """Writes a page.

    Args:
        path: path of the page.
        content: name of the template for the content of the page's frame.
        title: title of the page.
        shown: variables of the template.

    Raises:
        OutputError: the file cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_inert,
    )
    source = files(__package__) / "templates"
    script = (source / "table.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template("page.html").render(
        style=Markup((source / "page.css").read_text(encoding="utf-8")),  # noqa: S704  # our own file
        script=Markup(script),  # noqa: S704  # our own file
        digest=digest,
        content=content,
        title=title,
        **shown,
    )
    write_atomic(path, page)


def _inert(value: object) -> object:
    """Escapes control and formatting characters in text; returns our own markup unchanged."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
