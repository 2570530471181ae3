"""Sweeps on the nodes of a Ray cluster."""

from .rows import sweep_on_cluster

__all__ = ["sweep_on_cluster"]
