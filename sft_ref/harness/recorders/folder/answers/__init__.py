"""What rows (--data) and a prompt (--prompt) show of a bare adapter: its base, its factor, its prompt, its end."""

from .evidence import AnswersEvidence
from .examine import examine
from .rows import read_rows
from .wording import check_prompt

__all__ = ["AnswersEvidence", "check_prompt", "examine", "read_rows"]
