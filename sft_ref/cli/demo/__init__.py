"""`sft-ref demo`: the whole product in a minute."""

from .command import HELP, add_arguments, run

__all__ = ["HELP", "add_arguments", "run"]
