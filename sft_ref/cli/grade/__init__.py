"""`sft-ref grade`: one command for everything that can be handed in."""

from .command import run
from .options import EPILOG, HELP, add_arguments

__all__ = ["EPILOG", "HELP", "add_arguments", "run"]
