"""Options shared by several commands."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from sft_ref.reference.bases.find import DEFAULT_BASE
from sft_ref.reference.guards.ranges import RANGES
from sft_ref.reference.precision import POLICIES
from sft_ref.reference.settings import Settings

DEFAULT_FOLDER = "sft_model"
BASE_HELP = f"base model: toy, {DEFAULT_BASE}, a folder, or a hub id"


def add_data(parser: argparse.ArgumentParser) -> None:
    """Adds the option for the user's own rows."""
    words = "questions and their answers, numbers or texts, instead of the built-in ones: JSON, JSONL or Parquet"
    parser.add_argument("--data", metavar="FILE", help=words)


def add_training(parser: argparse.ArgumentParser, *, output: str) -> None:
    """Adds the options of a training; `output` is the default adapter folder."""
    parser.add_argument("--base", default=DEFAULT_BASE, help=f"{BASE_HELP} (default: %(default)s)")
    parser.add_argument("--output", default=output, metavar="FOLDER", help="adapter folder (default: %(default)s)")
    parser.add_argument("--policy", metavar="NAME", help=f"{', '.join(POLICIES)} (default: depends on the device)")
    for field in fields(Settings):
        flag, allowed = f"--{field.name.replace('_', '-')}", RANGES[field.name]
        words = f"{allowed} (default: %(default)s)"
        parser.add_argument(flag, type=allowed, default=field.default, metavar="N", help=words)


def add_adapter(parser: argparse.ArgumentParser) -> None:
    """Adds the options for the adapter to load, its base and its policy."""
    parser.add_argument("folder", nargs="?", default=DEFAULT_FOLDER, help="adapter folder (default: %(default)s)")
    parser.add_argument("--base", help=f"{BASE_HELP} (default: the one that the adapter names)")
    parser.add_argument("--policy", metavar="NAME", help="load under this policy although it was trained under another")


def add_writing(parser: argparse._ActionsContainer) -> None:
    """Adds the options for the text format: a prompt format or a chat template."""
    parser.add_argument(
        "--prompt", metavar="TEXT", help="format of texts, such as '{question} A: {answer}'; other braces are literal"
    )
    parser.add_argument(
        "--chat-template",
        metavar="FILE",
        help="write texts with the chat template in FILE, or with the tokenizer's own if FILE is 'tokenizer'",
    )


def add_page(parser: argparse._ActionsContainer) -> None:
    """Adds the option for an HTML page of the result."""
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the result as an HTML page as well")


def add_labels(parser: argparse._ActionsContainer) -> None:
    """Adds the option for which tokens of a text are supervised."""
    parser.add_argument(
        "--labels",
        choices=["completion", "assistant", "all", "collator"],
        help="supervised tokens: completion (default): those after the prompt; assistant: those that the chat template"
        " marks; all; collator: all but the padding id, as DataCollatorForLanguageModeling does",
    )
