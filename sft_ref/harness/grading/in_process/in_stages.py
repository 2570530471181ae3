"""Records and checks an implementation, one stage after the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from sft_ref.harness.checks.runner import blockers_of, run
from sft_ref.harness.core.check import Check, Result
from sft_ref.harness.recorders.in_process.recorder import Recorder


def run_in_stages(checks: Iterable[Check], recorder: Recorder, *, rerun: str = "") -> Iterator[Result]:
    """Runs checks stage by stage, and yields each result as soon as it is known.

    The evidence for the checks of a stage is recorded before the first of them runs. If the caller stops iterating, the
    evidence that only later stages need is never recorded.

    Args:
        checks: planned checks, as returned by `plan`.
        recorder: recorder of the implementation.
        rerun: see `run`.

    Raises:
        MachineError, MissingModuleError: as for `Recorder.record`.
    """
    earlier: list[Result] = []
    for _, stage in itertools.groupby(checks, key=lambda each: each.stage):
        planned = tuple(stage)
        results: dict[str, Result | None] = {each.check.id: each for each in earlier}
        open_checks = [each for each in planned if not blockers_of(each, results)]
        evidence = recorder.record(name for each in open_checks for name in each.needs)
        for result in run(planned, evidence, rerun=rerun, earlier=tuple(earlier)):
            earlier.append(result)
            yield result
