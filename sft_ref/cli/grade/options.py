"""The options of ``sft-ref grade``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sft_ref.cli.options import add_labels, add_writing
from sft_ref.console.ranges import IntRange
from sft_ref.harness.core.stages import ADAPTER_STAGES, SUBMISSION_STAGES

HELP = "grade a fine-tune: sound, drift or broken; at which stage, why, and how to fix it"
OUTPUT = "grades"
EPILOG = (
    "Exit code, from best to worst: 0 sound or drift (--strict: drift is 1), 4 not shown (a required stage was not"
    " examined), 1 broken, 2 bad input, or a result that cannot be written, 3 the harness failed or could not grade."
    " With several targets, the worst counts. Also 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP, and 141 if"
    " the reader of standard output has closed it. Standard input is not read. Submissions that were graded before and"
    " have not changed are not graded again."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``grade``."""
    rubric = Path(__file__).parents[2] / "harness" / "report" / "rubric.toml"
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="a submission (a folder or a zip), or a folder of many; an adapter, a merged model, a GGUF file or a data"
        " set; if there is no such path, a NAME as for --module",
    )
    parser.add_argument(
        "--module",
        metavar="NAME",
        help="instead of PATH: reference, or the module:object of an implementation or of a function that returns one;"
        " it runs in this process, without a sandbox",
    )
    parser.add_argument(
        "--base",
        help="base model: it replaces every hub id that a submission loads (default: toy), and is the base of an"
        " adapter, a merged model, a GGUF file or a data set",
    )
    bare = parser.add_argument_group("an adapter or a model without code")
    bare.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="questions for an adapter or an implementation: JSON, JSONL or Parquet",
    )
    bare.add_argument(
        "--judge",
        metavar="MODULE:FUNCTION",
        help="function of an answer to --data and the true answer that decides whether it is right (default: numbers"
        " within 5 %%; texts that are equal except for case, spaces and a full stop)",
    )
    bare.add_argument(
        "--adapter", type=Path, metavar="FOLDER", help="for a merged model: the adapter that was merged into --base"
    )
    texts = parser.add_argument_group("texts of an adapter without code, or of a data set")
    add_writing(texts)
    add_labels(texts)
    texts.add_argument(
        "--max-length",
        type=IntRange(1, 2**31 - 1),
        metavar="N",
        help="for a data set: truncate each text to N tokens (default: no truncation; TRL's default is 1024)",
    )
    code = parser.add_argument_group("a submission")
    code.add_argument(
        "--second-base",
        metavar="BASE",
        help="grade it over this base as well, such as toy-wide, and report where it behaves differently",
    )
    code.add_argument(
        "--python", default=sys.executable, help="interpreter that runs the submission (default: this one)"
    )
    code.add_argument(
        "--seed", type=IntRange(0, 2**32 - 1), help="seed of the questions (default: a new one each time)"
    )
    code.add_argument(
        "--time-limit",
        type=IntRange(1, 86_400),
        metavar="SECONDS",
        help="processor time per core for one of its processes (default: 240)",
    )
    examined = parser.add_argument_group("what is examined")
    examined.add_argument(
        "--only", nargs="+", metavar="ID", default=[], help="run these checks only; only their stages are required"
    )
    examined.add_argument(
        "--require",
        nargs="+",
        metavar="STAGE",
        default=[],
        choices=sorted({*SUBMISSION_STAGES, *ADAPTER_STAGES}),
        help="stages that must be examined for exit code 0; others need not be (default: all stages of the target's"
        " kind)",
    )
    examined.add_argument("--strict", action="store_true", help="exit with 1 on drift as well")
    examined.add_argument(
        "--limit",
        nargs="+",
        metavar="NAME=SIZE",
        default=[],
        help="sizes above which a target is broken: adapter=20MB, bundle=50MB, parameters=380M (default: none)",
    )
    examined.add_argument(
        "--profile", choices=["course"], help="the limits of a course: adapter=20MB bundle=50MB parameters=380M"
    )
    many = parser.add_argument_group("many at once")
    many.add_argument(
        "--jobs", type=IntRange(1, 1024), metavar="N", help="submissions at a time (default: half the cores)"
    )
    many.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="grade on the nodes of this Ray cluster: HOST:PORT, or auto for the one that this machine is a node of"
        " (default of --jobs: as many as the nodes can run)",
    )
    many.add_argument(
        "--output", metavar="FOLDER", help=f"folder of results, one file per submission (default: {OUTPUT})"
    )
    reports = parser.add_argument_group("reports, in addition to the terminal")
    reports.add_argument("--json", type=Path, metavar="FILE", help="results as docs/results.md describes them")
    reports.add_argument(
        "--csv", type=Path, metavar="FILE", help="one line per submission (of many: always in --output)"
    )
    reports.add_argument("--html", type=Path, metavar="FILE", help="one self-contained page")
    reports.add_argument("--junit", type=Path, metavar="FILE", help="JUnit XML for CI systems")
    reports.add_argument(
        "--save-evidence",
        type=Path,
        metavar="FILE",
        help="recorded evidence of one target, as NAME.safetensors; `sft-ref grade NAME.safetensors` checks it again",
    )
    reports.add_argument("--gradescope", type=Path, metavar="FILE", help="results.json of one submission")
    reports.add_argument(
        "--rubric", type=Path, metavar="FILE", help=f"points for --gradescope, in TOML (default: {rubric})"
    )
