"""Hides messages of libraries that a user cannot act on."""

from __future__ import annotations

import warnings


def quiet() -> None:
    """Silences the progress bars and notes of the libraries, for the whole process."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", module=r"peft\.")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
