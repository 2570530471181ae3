"""Validates the options that name files for gradings on a cluster: the files must be on a disk that all nodes share."""

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
"""Values that never name a file, even if a file of that name exists."""

_FILES = ("base", "second_base", "data", "adapter", "chat_template", "python")
"""Options whose value may be the path of a file or folder."""


@dataclass(frozen=True)
class ClusterOptions:
    """Options of `grade_one` for each node.

    Attributes:
        keywords: keyword arguments of `grade_one`; files are absolute paths.
        digests: option -> path and SHA-256 of the content, which must be the same on every node.
    """

    keywords: Mapping[str, Any]
    digests: Mapping[str, tuple[str, str]]


def read_options(targets: Sequence[str], keywords: Mapping[str, Any]) -> ClusterOptions:
    """Converts the options for the nodes.

    Args:
        targets: the targets to grade.
        keywords: keyword arguments of `grade_one`, from the command line.

    Raises:
        SftRefError: a target or an option can only be used on this machine.
    """
    for target in targets:
        if keywords.get("is_module") or kind_of(Path(target)) is None:
            raise SftRefError(f"--ray: {target} is not a file or folder that can be sent to a node; leave out --ray")
    for option in ("judge", "save_evidence"):
        if keywords.get(option) is not None:
            raise SftRefError(f"--{option.replace('_', '-')}: works on this machine only; leave out --ray")
    found = dict(keywords)
    if found.get("python") == sys.executable:
        del found["python"]  # each node has its own
    digests = {}
    for option in _FILES:
        value = found.get(option)
        if value is not None and value not in _NAMES and kind_of(Path(value)) is not None:
            path = Path(value).absolute()  # not resolved: an interpreter is often a link, and the link's folder matters
            found[option] = str(path) if isinstance(value, str) else path
            digests[option] = (str(path), content_of(str(path)))
    return ClusterOptions(found, digests)


@functools.cache
def _content(path: str) -> str:
    return content_of(path)


def check_files(digests: Mapping[str, tuple[str, str]]) -> None:
    """Runs on a node: verifies that the files of the options equal those on the machine that started the command.

    Raises:
        ClusterError: a file differs.
    """
    for option, (path, digest) in digests.items():
        if _content(path) != digest:
            raise ClusterError(
                f"node {socket.gethostname()} does not have the same --{option.replace('_', '-')} {path} as"
                " this machine; put it on a disk that all nodes share"
            )
