"""The options of a grading that name files: their files are on a disk that all nodes share, or they are refused."""

from __future__ import annotations

import functools
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sft_ref.errors import ClusterError, SftRefError
from sft_ref.harness.grading.cache import content_of
from sft_ref.io.reading import kind_of
from sft_ref.reference.bases.find import DEFAULT_BASE, WIDE_TOY

_NAMES = {"toy", WIDE_TOY, DEFAULT_BASE, "tokenizer"}
"""Values that name no file, even where there is one of that name."""

_FILES = ("base", "second_base", "data", "adapter", "chat_template", "python")
"""Options whose value may be the name of a file or folder."""


@dataclass(frozen=True)
class ClusterOptions:
    """Options of `grade_one` as each node takes them.

    Attributes:
        keywords: of `grade_one`; files by their whole paths.
        digests: option -> path and SHA-256 of its content, which every node must find as well.
    """

    keywords: Mapping[str, Any]
    digests: Mapping[str, tuple[str, str]]


def read_options(targets: Sequence[str], keywords: Mapping[str, Any]) -> ClusterOptions:
    """The options for nodes.

    Args:
        targets: that are to be graded.
        keywords: of `grade_one`, as the command line gives them.

    Raises:
        SftRefError: a target or an option is of this machine alone.
    """
    for target in targets:
        if keywords.get("is_module") or kind_of(Path(target)) is None:
            raise SftRefError(f"--ray: {target} is no file or folder that can be sent to a node; leave out --ray")
    for option in ("judge", "save_evidence"):
        if keywords.get(option) is not None:
            raise SftRefError(f"--{option.replace('_', '-')}: is of this machine alone; leave out --ray")
    found = dict(keywords)
    if found.get("python") == sys.executable:
        del found["python"]  # each node has its own
    digests = {}
    for option in _FILES:
        value = found.get(option)
        if value is not None and value not in _NAMES and kind_of(Path(value)) is not None:
            path = Path(value).absolute()  # not resolved: an interpreter is often a link, and its folder counts
            found[option] = str(path) if isinstance(value, str) else path
            digests[option] = (str(path), content_of(str(path)))
    return ClusterOptions(found, digests)


@functools.cache
def _content(path: str) -> str:
    return content_of(path)


def check_files(digests: Mapping[str, tuple[str, str]]) -> None:
    """On a node: the files of the options are those of the machine where the command was started.

    Raises:
        ClusterError: one is not.
    """
    for option, (path, digest) in digests.items():
        if _content(path) != digest:
            raise ClusterError(
                f"node {socket.gethostname()} does not have --{option.replace('_', '-')} {path} as it is here;"
                " put it on a disk that all nodes share"
            )
