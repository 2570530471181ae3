"""Grades a target of any kind from evidence saved earlier."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from sft_ref.harness.checks import adapter, submission
from sft_ref.harness.checks.registry import resolve_ids
from sft_ref.harness.checks.runner import plan
from sft_ref.harness.core.sizes import UNLIMITED, SizeLimits
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.evidence import Evidence, storage
from sft_ref.harness.evidence.adapter import AdapterEvidence
from sft_ref.harness.evidence.dataset.rows import DatasetEvidence
from sft_ref.harness.evidence.exported.gguf import GgufEvidence
from sft_ref.harness.evidence.merged import MergedEvidence

from .folder import judge_adapter
from .judge import judge
from .observed import Observed, judge_observed
from .rerun import rerun_command

Saved = Evidence | AdapterEvidence | Observed

FROM_FILE = "from saved evidence: nothing was run, so trust the verdict only as far as you trust the author of the file"
"""Note in each verdict from a file of evidence. The file's checksum detects damage, not forgery."""


def grade_evidence(
    path: Path,
    called: str,
    *,
    only: Sequence[str] = (),
    sizes: SizeLimits = UNLIMITED,
    report: Callable[[str], None] = lambda text: None,
) -> Verdict:
    """Grades a target from its saved evidence; does not need the target.

    Args:
        path: path of the file written by `--save-evidence`.
        called: the target's name as the user typed it.
        only: ids of the checks to run; empty runs all.
        sizes: size limits that replace the saved ones, if any is given.
        report: callback for the id and outcome of each check as it finishes.

    Raises:
        EvidenceError: the file cannot be read, is damaged, or does not contain evidence.
    """
    evidence = storage.load(path, Evidence, AdapterEvidence, MergedEvidence, DatasetEvidence, GgufEvidence)
    verdict = grade_saved(cast("Saved", evidence), called, only=only, sizes=sizes, report=report)
    return replace(verdict, notes=(FROM_FILE, *verdict.notes))


def grade_saved(
    evidence: Saved,
    called: str,
    *,
    only: Sequence[str] = (),
    sizes: SizeLimits = UNLIMITED,
    report: Callable[[str], None] = lambda text: None,
) -> Verdict:
    """Grades a target from loaded evidence.

    Args:
        evidence: the loaded evidence.
        called: the name of the evidence file as the user typed it.
        only: ids of the checks to run; empty runs all.
        sizes: size limits that replace the saved ones, if any is given.
        report: callback for the id and outcome of each check as it finishes.
    """
    if isinstance(evidence, Observed):
        return judge_observed(evidence, called, rerun=rerun_command(called, {}), only=only, report=report)
    began = time.perf_counter()
    if sizes:
        evidence = replace(evidence, limits=sizes)
    rerun = rerun_command(called, {"limit": sizes.words})
    checks = adapter.CHECKS if isinstance(evidence, AdapterEvidence) else submission.CHECKS
    planned = plan(checks, claims_contract=True, only=resolve_ids(only))
    if isinstance(evidence, AdapterEvidence):
        verdict = judge_adapter(evidence, called, planned, rerun=rerun, report=report)
    else:
        verdict = judge(evidence, called, planned, rerun=rerun, report=report)
    return replace(verdict, seconds=time.perf_counter() - began)
