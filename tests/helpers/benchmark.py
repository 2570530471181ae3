"""Writes the faults of this repository as a benchmark for other tools: inputs, and a manifest of their faults.

``python tests/helpers/benchmark.py FOLDER [--trained ID ...]``. See docs/benchmark.md for the layout.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(TESTS / name) for name in ("helpers", "submissions", "rivals")]
from build import SUBMISSIONS, build  # noqa: E402  # in a folder of tests, which is not a package
from mutation import Control, Mutant, find  # noqa: E402
from rival_inputs import read_manifest, write_case  # noqa: E402

from sft_ref.errors import SftRefError  # noqa: E402
from sft_ref.harness.core.implementation import Implementation  # noqa: E402
from sft_ref.harness.recorders.in_process.reference import Reference  # noqa: E402
from sft_ref.reference.data import split_rows  # noqa: E402
from sft_ref.reference.settings import Settings  # noqa: E402

ASKED = 64
"""Number of questions of the validation split that a trained implementation answers."""


@dataclass(frozen=True)
class Entry:
    """One line of the manifest.

    Attributes:
        id: id that is unique within its kind.
        kind: ``submission``, ``implementation``, or the kind of an input of docs/rivals.md.
        verdict: ``sound``, ``not shown``, ``drift`` or ``broken``; for an implementation and an input ``sound`` or
            ``fault``.
        stages: stages at fault; empty if it is sound.
        about: one sentence with the fault, or with the unusual property of a sound entry.
        source: source where such a fault was seen.
        path: path of its folder; empty if it is made only by `--trained`.
        cause: regular expression that matches the message of a tool that finds the cause; empty if there is none.
    """

    id: str
    kind: str
    verdict: str
    stages: tuple[str, ...]
    about: str
    source: str
    path: str
    cause: str = ""


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the benchmark that the command line requests."""
    parser = argparse.ArgumentParser(prog="benchmark", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="must not exist")
    parser.add_argument(
        "--trained",
        nargs="+",
        default=[],
        metavar="ID",
        help="train these mutants and controls on the toy as well; all: each of them, some seconds to a minute each",
    )
    args = parser.parse_args(argv)
    if args.folder.exists():
        parser.error(f"{args.folder} exists; give a folder that does not")
    implementations = {each.id: each for each in find_implementations()}
    wanted = [*implementations] if args.trained == ["all"] else args.trained
    if unknown := sorted({*wanted} - implementations.keys()):
        parser.error(f"no mutant or control named {', '.join(unknown)}")
    args.folder.mkdir(parents=True)
    entries = [*write_submissions(args.folder), *write_inputs(args.folder)]
    for name, each in implementations.items():
        if name in wanted:
            print(f"training {name}", flush=True)
            write_trained(each, args.folder / "implementations" / name)
        entries.append(entry_of(each, f"implementations/{name}" if name in wanted else ""))
    manifest = json.dumps([asdict(each) for each in entries], indent=1)
    (args.folder / "manifest.json").write_text(manifest, encoding="utf-8")
    print(f"written: {args.folder}, {len(entries)} lines in manifest.json")
    return 0


def write_submissions(folder: Path) -> Iterator[Entry]:
    """Writes the code of students' submissions, and once their data next to it; yields their entries."""
    data = folder / "data"
    data.mkdir()
    for split in ("train", "validation"):
        rows = [list(row) for row in split_rows(split)]
        (data / f"{'valid' if split == 'validation' else split}.json").write_text(json.dumps(rows), encoding="utf-8")
    for each in SUBMISSIONS:
        build(each, folder / "submissions" / each.name)
        path = f"submissions/{each.name}"
        yield Entry(each.name, "submission", each.verdict, tuple(sorted(each.stages)), each.fault, "ours", path)


def write_inputs(folder: Path) -> Iterator[Entry]:
    """Writes adapters, merged models, templates, data sets and scripts; yields their entries."""
    with tempfile.TemporaryDirectory() as workshop:
        for case in read_manifest():
            write_case(case, folder / "inputs" / case.id, Path(workshop))
            verdict, stages = ("sound", ()) if case.sound else ("fault", (case.stage,))
            path = f"inputs/{case.id}"
            yield Entry(case.id, case.kind, verdict, stages, case.fault, case.source, path, case.cause)


def find_implementations() -> list[Mutant | Control]:
    """Returns the mutants, then the controls."""
    return [*find(TESTS / "mutants", "MUTANT"), *find(TESTS / "controls", "CONTROL")]


def entry_of(each: Mutant | Control, path: str) -> Entry:
    """Returns the entry of a mutant or control."""
    if isinstance(each, Control):
        return Entry(each.id, "implementation", "sound", (), each.note, "ours", path)
    return Entry(each.id, "implementation", "fault", (each.stage,), each.fault, each.source, path)


def write_trained(each: Mutant | Control, folder: Path) -> None:
    """Trains and queries an implementation; writes its adapter and answers, or the error that stopped it."""
    folder.mkdir(parents=True)
    told: dict[str, Any] = {}
    try:
        if isinstance(each, Mutant):
            with each.alive():
                told = train_and_ask(Reference(name=each.id), folder)
        else:
            told = train_and_ask(each.make(), folder)
    except (SftRefError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError, OSError) as error:
        told = {"error": f"{type(error).__name__}: {error}"}
    (folder / "answers.json").write_text(json.dumps(told, indent=1, default=str), encoding="utf-8")


def train_and_ask(implementation: Implementation, folder: Path) -> dict[str, Any]:
    """Trains, loads and queries an implementation; returns prompts, completions and answers, with None for NaN."""
    implementation.train(folder / "adapter", split_rows("train"), Settings())
    answerer = implementation.load(folder / "adapter")
    rows = split_rows("validation")[:ASKED]
    prompts = [answerer.format_prompt(question) for question, _ in rows]
    completions = answerer.batched_generate(prompts)
    answers = [answerer.parse_answer(text) for text in completions]
    return {
        "base": implementation.base,
        "answers": [
            {"question": question, "truth": truth, "prompt": prompt, "completion": text, "answer": _or_null(answer)}
            for (question, truth), prompt, text, answer in zip(rows, prompts, completions, answers, strict=True)
        ],
    }


def _or_null(answer: object) -> object:
    return None if isinstance(answer, float) and answer != answer else answer  # noqa: PLR0124  # NaN


if __name__ == "__main__":
    sys.exit(main())
