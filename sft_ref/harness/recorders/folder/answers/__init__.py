"""Asks an adapter the rows of --data in the format of --prompt: evidence of its base, scaling, prompt and end."""

from sft_ref.io.rows.forms import Row, read_row, read_rows

from .choice import EXAMPLE, check_writing, choose_wording, read_template
from .examine import examine
from .wording import Wording

__all__ = [
    "EXAMPLE",
    "Row",
    "Wording",
    "check_writing",
    "choose_wording",
    "examine",
    "read_row",
    "read_rows",
    "read_template",
]
