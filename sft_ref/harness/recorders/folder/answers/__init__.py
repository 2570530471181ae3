"""Asks an adapter the rows of --data in the prompt of --prompt: evidence of its base, scaling, prompt and end."""

from .examine import examine
from .rows import read_rows
from .wording import check_prompt

__all__ = ["check_prompt", "examine", "read_rows"]
