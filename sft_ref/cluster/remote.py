"""Runs functions of this package on a node, if the node has the same code and libraries."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TypeVar

from sft_ref.errors import ClusterError, SftRefError
from sft_ref.harness.isolation.safe_path import safe_path

from .installed import difference

T = TypeVar("T")


def run_checked(wanted: dict[str, str], function: Callable[..., T], *arguments: object) -> T:
    """Calls a function; runs on a node.

    Args:
        wanted: result of `installed` on the machine where the command was started.
        function: function that can be imported by name.
        arguments: arguments of the function.

    Raises:
        ClusterError: the node has other code, or another version of a library.
    """
    if differs := difference(wanted):
        raise ClusterError(f"node {socket.gethostname()} has {differs}; install the same versions on all nodes")
    with safe_path():
        return function(*arguments)


def cause_of(error: Exception) -> SftRefError | None:
    """Returns the error of this package that a task raised, or one for a node that cannot import it; else None."""
    import ray

    if not isinstance(error, ray.exceptions.RayTaskError):
        return None
    cause = error.cause
    if isinstance(cause, SftRefError):
        return type(cause)(*cause.args)
    if isinstance(cause, ImportError) or "No module named" in str(cause):
        missing = next((line for line in reversed(str(error).splitlines()) if "No module named" in line), str(cause))
        where = getattr(error, "ip", "") or "of the cluster"
        advice = "install the same versions on all nodes"
        return ClusterError(f"node {where} cannot import the code of its task ({missing.strip()}); {advice}")
    return None
