"""The reports that ``sft-ref grade`` writes. Unusable files and rubrics are refused before anything is graded."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sft_ref.errors import SftRefError

if TYPE_CHECKING:
    from sft_ref.harness.core.grade import Grade
    from sft_ref.harness.report.rubric import Rubric


def check_evidence_file(path: Path | None, *, several: bool) -> None:
    """Raises, before anything is graded, if the evidence file cannot be written or could not be graded later."""
    from sft_ref.io.atomic_write import check_writable

    if path is None:
        return
    if several:
        raise SftRefError("--save-evidence: saves the evidence of one target; grade one, without --output and --ray")
    if path.suffix != ".safetensors":
        raise SftRefError(
            f"--save-evidence {path}: is not the name of an evidence file; give a name that ends in .safetensors"
        )
    check_writable(path)


def find_rubric(args: argparse.Namespace, submissions: int) -> Rubric | None:
    """Returns the rubric that assigns points; None if no points are requested.

    Raises:
        SftRefError: the rubric cannot be used.
    """
    from sft_ref.harness.report.rubric import DEFAULT, read_rubric

    if args.gradescope and submissions > 1:
        raise SftRefError(f"--gradescope: holds one submission's results, and {submissions} are given; grade one")
    if args.rubric and not args.gradescope:
        raise SftRefError("--rubric: is used only for --gradescope; give --gradescope FILE as well")
    return read_rubric(args.rubric or DEFAULT, _check_ids) if args.gradescope else None


def _check_ids() -> Mapping[str, str]:
    """Maps every name of each check to its id; imports torch."""
    from sft_ref.harness.checks.registry import IDS

    return IDS


def report_writer(args: argparse.Namespace, rubric: Rubric | None) -> Callable[[Sequence[Grade]], None]:
    """Returns the function that writes the reports; checks now that all files can be written.

    Raises:
        SftRefError: a file cannot be written.
    """
    from sft_ref.harness.report import files, gradescope
    from sft_ref.harness.report.page.write import write_html
    from sft_ref.io.atomic_write import check_writable

    writers: list[tuple[Path | None, Callable[[Sequence[Grade], Path], None]]] = [
        (args.json, files.write_json),
        (args.csv, files.write_csv),
        (args.html, write_html),
        (args.junit, _write_junit),
    ]
    if rubric:
        writers.append((args.gradescope, lambda grades, path: gradescope.write_gradescope(grades[0], rubric, path)))
    for path, _ in writers:
        if path:
            check_writable(path)

    def write(grades: Sequence[Grade]) -> None:
        failures: list[Exception] = []
        for path, writer in writers:
            try:
                if path:
                    writer(grades, path)
            except Exception as failure:  # noqa: BLE001  # a report that fails must not prevent the others
                failures.append(failure)
        if failures:
            raise failures[0]

    return write


def _write_junit(grades: Sequence[Grade], path: Path) -> None:
    from sft_ref.harness.core.verdict import Verdict
    from sft_ref.harness.report.junit import write_junit

    verdicts = [grade for grade in grades if isinstance(grade, Verdict)]
    errors = {grade.path: (grade.reason,) for grade in grades if not isinstance(grade, Verdict)}
    results = {grade.path: grade.results for grade in verdicts} | dict.fromkeys(errors, ())
    write_junit(results, path, errors | {grade.path: grade.errors for grade in verdicts})
