"""Connects this process to a Ray cluster that runs already, and leaves its signals and its nodes' imports alone."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
from collections.abc import Iterator

from sft_ref.errors import ClusterError
from sft_ref.io.plain_files import scratch_folder

_PATIENCE = 20.0
"""Seconds in which the cluster's address must take a connection; Ray itself tries for minutes."""


@contextlib.contextmanager
def connected(address: str) -> Iterator[None]:
    """Within it, this process is a driver of the cluster, and functions of `sft_ref.cluster` can be called.

    Args:
        address: ``HOST:PORT`` of the cluster, or ``auto`` for the one that this machine is a node of.

    Raises:
        ClusterError: Ray is not installed, or there is no such cluster.
    """
    try:
        import ray
    except ImportError as error:
        raise ClusterError("--ray: ray is not installed; pip install 'sft-ref[ray]'") from error
    place = _find(address)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with scratch_folder() as folder, contextlib.chdir(folder):  # Ray puts the working folder on its nodes' sys.path
            ray.init(place, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ClusterError(_refused(address, str(error))) from error
    finally:
        signal.signal(signal.SIGTERM, before)  # Ray has put its own there
    try:
        yield
    finally:
        ray.shutdown()


def _find(address: str) -> str:
    """The ``HOST:PORT`` of a cluster that takes a connection."""
    if "://" in address:
        raise ClusterError(f"--ray {address}: give HOST:PORT of the cluster, on one of its nodes; or auto")
    from ray._private.services import canonicalize_bootstrap_address_or_die

    try:
        place: str = canonicalize_bootstrap_address_or_die(address)
        host, _, port = place.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except (OSError, ValueError, OverflowError) as error:  # the first of these holds ConnectionError
        raise ClusterError(_refused(address, str(error))) from error
    return place


def _refused(address: str, reason: str) -> str:
    reason = (reason.strip().splitlines() or [""])[0].rstrip(".")
    return f"--ray {address}: no Ray cluster can be reached there ({reason}); start one with `ray start --head`"
