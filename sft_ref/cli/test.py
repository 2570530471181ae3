"""``sft-ref test``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sft_ref.console.printable import printable
from sft_ref.console.quiet import quiet
from sft_ref.errors import SftRefError
from sft_ref.reference.guards.rows import AnyRow, load_rows

from .options import DEFAULT_FOLDER, add_adapter, add_data

if TYPE_CHECKING:
    from sft_ref.reference.base_llm import BaseLLM
    from sft_ref.reference.guards.answer_model import AnswerModel
    from sft_ref.reference.sft import TestResult

HELP = "ask an adapter questions that it has not seen, and score its answers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``test``."""
    add_adapter(parser)
    add_data(parser)
    parser.add_argument(
        "--engine",
        choices=["transformers", "openvino", "http"],
        default="transformers",
        help="engine that generates the answers: openvino is faster on a CPU, and runs the merged model; http asks an"
        " endpoint instead of the folder (default: %(default)s)",
    )
    served = parser.add_argument_group("an OpenAI-style endpoint, with --engine http")
    served.add_argument("--url", help="URL of the server, such as http://localhost:8000")
    served.add_argument("--model", metavar="NAME", help="model at the endpoint (default: the only one it has)")
    served.add_argument(
        "--key-env", metavar="NAME", help="environment variable that holds the key (default: OPENAI_API_KEY, if set)"
    )


def run(args: argparse.Namespace) -> None:
    """Loads the model, asks the questions, and prints the answers, their score and the precision.

    Raises:
        SftRefError: an option is for another engine, or the model cannot be loaded or queried.
    """
    _check_options(args)
    if args.engine == "http":
        _ask_endpoint(args)
    else:
        load_and_ask(args.folder, base=args.base, policy=args.policy, data=args.data, engine=args.engine)


def _check_options(args: argparse.Namespace) -> None:
    is_served = args.engine == "http"
    if is_served and args.url is None:
        raise SftRefError("--engine http: asks an endpoint; give --url, such as http://localhost:8000")
    if is_served and args.folder != DEFAULT_FOLDER:
        raise SftRefError(f"{args.folder}: --engine http asks an endpoint instead of a folder; leave the folder out")
    for option in ("base", "policy") if is_served else ("url", "model", "key_env"):
        if getattr(args, option) is not None:
            kind = "a folder; leave it out" if is_served else "an endpoint; give --engine http as well"
            raise SftRefError(f"--{option.replace('_', '-')}: is for {kind}")


def load_and_ask(
    folder: str,
    *,
    base: str | None = None,
    policy: str | None = None,
    data: str | None = None,
    engine: str = "transformers",
) -> tuple[BaseLLM, TestResult]:
    """Loads an adapter, asks the questions, and prints the answers, their score and the precision."""
    rows = load_rows(data) if data else None
    quiet()
    from sft_ref.reference import sft

    from .terminal import show_exported, show_precision

    if engine == "openvino":
        from sft_ref.engines.loading import load_with_openvino

        llm = load_with_openvino(folder, base=base, policy=policy)
    else:
        llm = sft.load(folder, base=base, policy=policy)
    result = _ask(llm, rows)
    show = show_exported if engine == "openvino" else show_precision
    show(llm, Path(folder))
    return llm, result


def _ask_endpoint(args: argparse.Namespace) -> None:
    rows = load_rows(args.data) if args.data else None
    quiet()
    from sft_ref.engines.endpoint import ServedModel
    from sft_ref.http.client import EndpointClient, find_key, root_of
    from sft_ref.witnessing.serving.probe_client import find_model

    root = root_of(args.url)
    with EndpointClient(root, find_key(root, args.key_env)) as client:
        name = find_model(client, args.model)
        _ask(ServedModel(client, name), rows)
    print(f"asked:   model {printable(repr(name))} at {root}")


def _ask(llm: AnswerModel, rows: Sequence[AnyRow] | None) -> TestResult:
    """Asks the questions, and prints the answers and their score."""
    from sft_ref.reference import sft

    from .terminal import asking_progress, show_samples

    with asking_progress() as report:
        result = sft.ask(llm, rows, report=report)
    show_samples(result.samples)
    print(result.score)
    return result
