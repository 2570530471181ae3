"""Grades many targets on the nodes of a Ray cluster."""

from .grading import grade_on_cluster
from .options import ClusterOptions, read_options

__all__ = ["ClusterOptions", "grade_on_cluster", "read_options"]
