"""`sft-ref grade`: one command for every kind of target."""

from .command import run
from .options import EPILOG, HELP, add_arguments

__all__ = ["EPILOG", "HELP", "add_arguments", "run"]
