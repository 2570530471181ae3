"""The verdict on evidence that was saved before, whatever it was recorded of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from sft_ref.harness.core.sizes import UNLIMITED, SizeLimits
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.evidence import Evidence, storage
from sft_ref.harness.evidence.adapter import AdapterEvidence
from sft_ref.harness.evidence.dataset.rows import DatasetEvidence
from sft_ref.harness.evidence.exported.gguf import GgufEvidence
from sft_ref.harness.evidence.merged import MergedEvidence

from . import folder, judge
from .observed import judge_observed
from .rerun import rerun_command

FROM_FILE = "from saved evidence: nothing was run, so trust the verdict as far as you trust who wrote the file"
"""Note of each verdict on a file. Its checksum finds damage, not forgery."""


def grade_evidence(
    path: Path,
    called: str,
    *,
    only: Sequence[str] = (),
    sizes: SizeLimits = UNLIMITED,
    report: Callable[[str], None] = lambda text: None,
) -> Verdict:
    """The verdict on a target from its evidence; the target is not needed.

    Args:
        path: of the file that `--save-evidence` wrote.
        called: the name by which it was asked for.
        only: ids of checks, and none else.
        sizes: limits of size, in place of those that were saved.
        report: called with the id and outcome of each check as it ends.

    Raises:
        EvidenceError: the file cannot be read, is damaged, or holds something else.
    """
    evidence = cast(
        "Evidence | AdapterEvidence | MergedEvidence | DatasetEvidence | GgufEvidence",
        storage.load(path, Evidence, AdapterEvidence, MergedEvidence, DatasetEvidence, GgufEvidence),
    )
    if isinstance(evidence, DatasetEvidence | MergedEvidence | GgufEvidence):
        verdict = judge_observed(evidence, called, rerun=rerun_command(called, {}), only=only, report=report)
    elif isinstance(evidence, AdapterEvidence):
        verdict = folder.grade_saved(evidence, called, only=only, sizes=sizes, report=report)
    else:
        verdict = judge.grade_saved(evidence, called, only=only, sizes=sizes, report=report)
    return replace(verdict, notes=(FROM_FILE, *verdict.notes))
