"""Grades targets that are only read, never run: a merged model, a data set or a GGUF file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sft_ref.harness.checks import dataset, gguf, merged
from sft_ref.harness.checks.registry import resolve_ids
from sft_ref.harness.checks.runner import plan, run_all
from sft_ref.harness.core.stages import DATASET_STAGES, GGUF_STAGES, MERGED_STAGES
from sft_ref.harness.core.verdict import Verdict
from sft_ref.harness.evidence import storage
from sft_ref.harness.evidence.dataset.rows import DatasetEvidence
from sft_ref.harness.evidence.exported.gguf import GgufEvidence
from sft_ref.harness.evidence.merged import MergedEvidence
from sft_ref.harness.verdict.diagnosis import verdict_of

Report = Callable[[str], None]
Observed = MergedEvidence | DatasetEvidence | GgufEvidence

_CHECKS = {
    MergedEvidence: (merged.CHECKS, MERGED_STAGES),
    DatasetEvidence: (dataset.CHECKS, DATASET_STAGES),
    GgufEvidence: (gguf.CHECKS, GGUF_STAGES),
}


def judge_observed(
    evidence: Observed,
    called: str,
    *,
    rerun: str,
    only: Sequence[str] = (),
    save_evidence: Path | None = None,
    report: Report = lambda text: None,
) -> Verdict:
    """Runs the checks on evidence and returns the verdict.

    Args:
        evidence: evidence recorded from the target.
        called: the target's name as the user typed it.
        rerun: command that grades the same target again.
        only: ids of the checks to run; empty runs all.
        save_evidence: file to write the evidence to; None writes none.
        report: callback for the id and outcome of each check as it finishes.

    Raises:
        OutputError: the evidence cannot be written.
    """
    if save_evidence is not None:
        storage.save(evidence, save_evidence)
    checks, stages = _CHECKS[type(evidence)]
    planned = plan(checks, claims_contract=True, only=resolve_ids(only))
    results = run_all(planned, evidence, rerun=rerun, report=report)
    return verdict_of(results, called, stages=stages, notes=_notes_on(evidence))


def _notes_on(evidence: Observed) -> Iterator[str]:
    """Yields notes on how the target was examined."""
    if isinstance(evidence, MergedEvidence):
        yield f"a merged model, compared with {evidence.base} with the adapter {evidence.adapter}; nothing is executed"
    elif isinstance(evidence, GgufEvidence):
        architecture = f" ({evidence.architecture})" if evidence.architecture else ""
        held = f"its metadata compared with the tokenizer of {evidence.base}"
        yield f"a GGUF file{architecture}, {held}; no tensor is read"
    else:
        length = f", truncated to {evidence.max_length} tokens" if evidence.max_length is not None else ""
        written = f"written by {evidence.wording} for {evidence.base}, labels: {evidence.labels}{length}"
        yield f"a data set, {written}; nothing is trained or generated"
        if len(evidence.rows) < evidence.total:
            yield f"{len(evidence.rows)} of {evidence.total} rows were examined, from all parts of the file"
