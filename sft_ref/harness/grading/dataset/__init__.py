"""The verdict on a data set: whether training on it teaches its answers and their ends."""

from .grade import grade_dataset

__all__ = ["grade_dataset"]
