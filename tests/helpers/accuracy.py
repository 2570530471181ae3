"""``python tests/helpers/accuracy.py --tests tests/blind ID ...``: scores mutants and controls without any check.

Prints a line for each: accuracy and answer rate on the 64 fresh rows, the last reported loss, and how often each patch
ran. The first line is the sound reference.
"""

from __future__ import annotations

import argparse
import collections
import functools
import logging
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from mutation import Control, Mutant, find
from resaving import Resaving

from sft_ref.harness.core.implementation import Implementation, TrainingResult
from sft_ref.harness.evidence.in_process.task import conversions
from sft_ref.harness.recorders.in_process.recorder import Recorder
from sft_ref.harness.recorders.in_process.reference import Reference, train_reference


def main() -> None:
    """Prints one line for the reference, and one for each mutant and control."""
    parser = argparse.ArgumentParser(prog="accuracy", description=__doc__)
    parser.add_argument("names", nargs="*", help="ids of mutants and controls (default: all)")
    parser.add_argument("--tests", type=Path, default=Path("tests"), help="folder that holds mutants/ and controls/")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    mutants: list[Mutant] = find(args.tests / "mutants", "MUTANT")
    controls: list[Control] = find(args.tests / "controls", "CONTROL")
    chosen: list[Mutant | Control] = [*mutants, *controls]
    chosen = [each for each in chosen if not args.names or each.id in args.names]
    with tempfile.TemporaryDirectory() as scratch:
        shared = train_reference(Path(scratch))
        print(_answers("sound", Reference(), shared), flush=True)
        for each in chosen:
            print(_mutant(each, shared) if isinstance(each, Mutant) else _control(each), flush=True)


def _mutant(mutant: Mutant, shared: TrainingResult) -> str:
    runs: collections.Counter[str] = collections.Counter()
    counted = {name: _counted(name, patch, runs) for name, patch in mutant.patches.items()}
    trained = None if mutant.retrain or mutant.resave else shared
    implementation = Resaving(shared, mutant.id) if mutant.resave else Reference(name=mutant.id)
    with replace(mutant, patches=counted).alive():
        line = _answers(mutant.id, implementation, trained)
    ran = ", ".join(f"{name.rpartition('.')[2]} ran {runs[name]}" for name in counted)
    return f"{line}  {ran}"


def _control(control: Control) -> str:
    return _answers(control.id, control.make(), None)


def _answers(name: str, implementation: Implementation, trained: TrainingResult | None) -> str:
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(implementation, Path(folder), trained=trained)
        score = implementation.test(recorder.part("answerer"), conversions().fresh_rows)
        return f"{name:<40}{score}  last loss {recorder.part('trained').losses[-1]:.4f}"


def _counted(name: str, patch: Any, runs: collections.Counter[str]) -> Any:  # noqa: ANN401  # passes arguments on
    """Wraps a function to count its runs; returns any other patch unchanged."""
    if not callable(patch):
        return patch

    @functools.wraps(patch, updated=())
    def counting(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        runs[name] += 1
        return patch(*args, **kwargs)

    return counting


if __name__ == "__main__":
    main()
