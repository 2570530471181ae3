"""``sft-ref verify``: compares an adapter folder or an endpoint with the record of a training."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sft_ref.console.printable import printable
from sft_ref.console.quiet import quiet
from sft_ref.errors import SftRefError
from sft_ref.witnessing.verifying.result import Verification

from .options import BASE_HELP, add_page

if TYPE_CHECKING:
    from sft_ref.witnessing.serving.endpoint import EndpointVerification

HELP = "compare an adapter folder, as peft loads it, or an endpoint with the record of a training"
EPILOG = (
    "The record was written beside the adapter by sft_ref.Witness() or sft_ref.witness(...). Exit code: 0 if nothing"
    " differs, 1 if something does, 2 on bad input. To compare a model that is loaded in another way, call"
    " sft_ref.verify(model, tokenizer, FOLDER)."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``verify``."""
    parser.add_argument(
        "target", metavar="FOLDER|URL", help="folder of the adapter, with its record; or an endpoint, with --record"
    )
    parser.add_argument("--base", help=f"{BASE_HELP} (default: the one that the adapter names)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there as well")
    add_page(parser)
    own = parser.add_argument_group("your own inference code: executed in a separate process, without a sandbox")
    own.add_argument(
        "--loader", metavar="FILE.py:NAME", help="function that returns the model to compare, or model and tokenizer"
    )
    own.add_argument(
        "--format-prompt", metavar="FILE.py:NAME", help="function that returns the prompt of a question; needs --data"
    )
    own.add_argument("--data", type=Path, metavar="FILE", help="rows of the training, including the recorded questions")
    served = parser.add_argument_group("an OpenAI-style endpoint")
    served.add_argument("--record", type=Path, metavar="FOLDER", help="folder with the record and the tokenizer")
    served.add_argument("--model", metavar="NAME", help="model at the endpoint (default: the only one it has)")
    served.add_argument(
        "--key-env", metavar="NAME", help="environment variable that holds the key (default: OPENAI_API_KEY, if set)"
    )


def run(args: argparse.Namespace) -> int:
    """Compares the target with the record, prints the result and returns the exit code.

    Raises:
        SftRefError: the record or adapter cannot be read, the base is missing, or the endpoint does not answer.
    """
    quiet()
    from sft_ref.harness.grading.worker import run_alone
    from sft_ref.io.atomic_write import check_writable, write_atomic
    from sft_ref.io.strict_json import strict, to_text

    from .pages.record_pages import write_verification_page

    is_url = "://" in args.target
    _check_options(args, is_url=is_url)
    for file in filter(None, (args.json, args.html)):
        check_writable(file)
    result: Verification | EndpointVerification
    if is_url:
        result = run_alone(_verify_endpoint, args.target, args.record, args.model, args.key_env)
    elif args.loader is not None:
        result = run_alone(_verify_own_code, Path(args.target), args.loader, args.format_prompt, args.data)
    else:
        result = run_alone(_verify, Path(args.target), args.base)
    if args.json is not None:
        write_atomic(args.json, to_text(strict(result.as_json())))
    if args.html is not None:
        if isinstance(result, Verification):
            write_verification_page(result, args.html, title=args.target)
        else:
            title = f"{result.model} at {args.target}"
            write_verification_page(result.found, args.html, title=title, word=result.verdict)
    for line in str(result).splitlines():
        print(printable(line))
    return 0 if result.ok else 1


def _check_options(args: argparse.Namespace, *, is_url: bool) -> None:
    """Raises if an option is for the other kind of target, or if an option that it needs is missing."""
    if is_url and args.record is None:
        raise SftRefError("an endpoint is compared with a record; give --record FOLDER")
    for option in ("base", "loader", "format_prompt", "data") if is_url else ():
        if getattr(args, option) is not None:
            raise SftRefError(f"--{option.replace('_', '-')}: is for a folder; leave it out")
    if args.loader is not None and args.base is not None:
        raise SftRefError("--base: the function of --loader loads the base; leave one of them out")
    if args.loader is None and (args.format_prompt or args.data):
        raise SftRefError("--format-prompt and --data: are for your own inference code; give --loader as well")
    if (args.format_prompt is None) != (args.data is None):
        raise SftRefError("--format-prompt: gets the questions of --data; give both options")
    for option in () if is_url else ("record", "model", "key_env"):
        if getattr(args, option) is not None:
            raise SftRefError(
                f"--{option.replace('_', '-')}: is for an endpoint; give its URL, such as http://localhost:8000"
            )


def _verify(folder: Path, base: str | None) -> Verification:
    """Verifies an adapter folder; runs in a separate process with limits, because the files may be untrusted."""
    quiet()
    from sft_ref.witnessing.verifying.folder import verify_folder

    return verify_folder(folder, base)


def _verify_own_code(folder: Path, loader: str, format_prompt: str | None, data: Path | None) -> Verification:
    """Verifies a model that the user's code loads; runs in a separate process, with limits on time and memory only."""
    quiet()
    from sft_ref.witnessing.verifying.own_code import verify_own_code

    return verify_own_code(folder, loader, format_prompt, data)


def _verify_endpoint(url: str, folder: Path, model: str | None, key_env: str | None) -> EndpointVerification:
    """Verifies an endpoint; runs in a separate process, which reads the key from the environment."""
    quiet()
    from sft_ref.witnessing.serving.endpoint import verify_endpoint

    return verify_endpoint(url, folder, model=model, key_env=key_env)
