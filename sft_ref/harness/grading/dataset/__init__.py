"""Grades a data set: whether training on it teaches its answers and their end tokens."""

from .grade import grade_dataset

__all__ = ["grade_dataset"]
