"""The installed code of this package, and the installed versions of the libraries that decide its results."""

from __future__ import annotations

import functools
import hashlib
from importlib import metadata
from pathlib import Path

_LIBRARIES = ("torch", "transformers", "peft", "tokenizers")


def source_digest() -> str:
    """Returns the SHA-256 of the package's code, so that no result is reused after the code has changed."""
    package = Path(__file__).parents[1]
    total = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        total.update(str(path.relative_to(package)).encode() + path.read_bytes())
    return total.hexdigest()


@functools.cache
def installed() -> dict[str, str]:
    """Returns the digest of this package's code and the versions of libraries, as seen by this process."""
    return {"sft_ref": source_digest()[:12]} | {name: metadata.version(name) for name in _LIBRARIES}


def difference(wanted: dict[str, str]) -> str:
    """Describes the first package whose installed version is not the wanted one; empty if there is none."""
    found = installed()
    for name, version in wanted.items():
        if found.get(name) != version:
            kind = "other code" if name == "sft_ref" else "another version"
            return f"{kind} of {name} ({found.get(name)}, but {version} where the command was started)"
    return ""
