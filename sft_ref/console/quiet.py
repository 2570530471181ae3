"""Keeps what a user cannot act on off the terminal."""

from __future__ import annotations

import warnings


def quiet() -> None:
    """Silences the libraries' own bars and notes, for the whole process."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", module=r"peft\.")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
