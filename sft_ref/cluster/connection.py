"""Connects this process to a running Ray cluster, and preserves its signal handlers and its nodes' import path."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
from collections.abc import Iterator

from sft_ref.errors import ClusterError
from sft_ref.io.plain_files import scratch_folder

_PATIENCE = 20.0
"""Seconds within which the cluster's address must accept a connection; Ray itself tries for minutes."""


@contextlib.contextmanager
def connected(address: str) -> Iterator[None]:
    """Makes this process a driver of the cluster within its context, so that `sft_ref.cluster` can be used.

    Args:
        address: ``HOST:PORT`` of the cluster, or ``auto`` for the cluster that this machine is a node of.

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
        with scratch_folder() as folder, contextlib.chdir(folder):  # Ray adds the working folder to its nodes' sys.path
            ray.init(place, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ClusterError(_refused(address, str(error))) from error
    finally:
        signal.signal(signal.SIGTERM, before)  # Ray has replaced the handler by its own
    try:
        yield
    finally:
        ray.shutdown()


def _find(address: str) -> str:
    """Returns the ``HOST:PORT`` of a cluster that accepts a connection."""
    if "://" in address:
        raise ClusterError(f"--ray {address}: is a URL; give HOST:PORT of the cluster, or auto, on one of its nodes")
    from ray._private.services import canonicalize_bootstrap_address_or_die

    try:
        place: str = canonicalize_bootstrap_address_or_die(address)
        host, _, port = place.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except (OSError, ValueError, OverflowError) as error:  # OSError includes ConnectionError
        raise ClusterError(_refused(address, str(error))) from error
    return place


def _refused(address: str, reason: str) -> str:
    reason = (reason.strip().splitlines() or [""])[0].rstrip(".")
    return f"--ray {address}: no Ray cluster can be reached there ({reason}); start one with `ray start --head`"
