"""The pre-commit hook: grades the adapter folder of each committed file, from its files alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from .main import main


def grade_adapters(files: Sequence[str]) -> int:
    """Grades the folder of each file once and returns the largest exit code of `sft-ref grade`."""
    folders = dict.fromkeys(str(Path(file).parent) for file in files)
    return max((main(["grade", folder, "--require", "artifact"]) for folder in folders), default=0)


if __name__ == "__main__":
    sys.exit(grade_adapters(sys.argv[1:]))
