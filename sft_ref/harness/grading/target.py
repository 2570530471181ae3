"""Grades one target of any kind; imports torch only when a grading begins."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_ref.errors import SftRefError

if TYPE_CHECKING:
    from sft_ref.harness.core.sizes import SizeLimits
    from sft_ref.harness.core.verdict import Verdict
    from sft_ref.harness.evidence.dataset.rows import Labels


def grade_one(
    target: str,
    *,
    is_module: bool = False,
    only: Sequence[str] = (),
    base: str | None = None,
    second_base: str | None = None,
    prompt: str | None = None,
    chat_template: str | None = None,
    labels: Labels | None = None,
    max_length: int | None = None,
    data: Path | None = None,
    judge: str | None = None,
    adapter: Path | None = None,
    python: str = sys.executable,
    seed: int | None = None,
    time_limit: float | None = None,
    sizes: SizeLimits | None = None,
    save_evidence: Path | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> Verdict:
    """Grades one target and returns its verdict.

    Args:
        target: the target as the user typed it.
        is_module: whether `target` names an implementation even if a path of that name exists.
        only: ids of the checks to run; empty runs all.
        base: base model that replaces every model that the target names; None uses the toy, or an adapter's own base.
        second_base: second base model that a submission is graded with as well; differences are reported.
        prompt: text format of a bare adapter or a data set, with ``{question}`` and ``{answer}``.
        chat_template: "tokenizer" or the path of a file, whose chat template formats these texts.
        labels: the supervised tokens of a data set; None supervises the answer.
        max_length: number of tokens that a text of a data set is truncated to.
        data: file with rows for a bare adapter or an implementation.
        judge: ``module:function`` that decides whether an answer to these rows is right; None for the default.
        adapter: folder of the adapter in a merged model.
        python: path of the interpreter that runs a submission.
        seed: seed for the questions to a submission; None draws one at random.
        time_limit: processor seconds per core for each process of a submission; None uses the default.
        sizes: size limits; None sets no limit.
        save_evidence: file to write the evidence to; None writes none.
        report: callback for short progress messages.

    Raises:
        SftRefError: the target contains nothing that can be graded, or an option does not apply to it.
    """
    from sft_ref.console.quiet import quiet
    from sft_ref.harness.core.sizes import UNLIMITED

    quiet()
    sizes = sizes or UNLIMITED
    if runs_here(target, is_module=is_module):
        from .in_process.contract import grade_target

        if save_evidence:
            raise SftRefError("--save-evidence: is not for an implementation, which runs in this process; leave it out")
        return grade_target(target, data=data, judge=judge, only=only, sizes=sizes, report=report)
    from .kinds import find_kind

    kind, path = find_kind(target)
    given = {"adapter": adapter, "chat-template": chat_template, "labels": labels, "max-length": max_length}
    _check_options(target, kind, given | {"data": data, "judge": judge})
    if save_evidence:
        _check_evidence_is_new(target, kind, second_base)
    if kind == "evidence":
        from .saved import grade_evidence

        return grade_evidence(path, target, only=only, sizes=sizes, report=report)
    # the options of all kinds that are left
    common: dict[str, Any] = {"only": only, "save_evidence": save_evidence, "report": report}
    if kind == "code":
        bases = [base or "toy", *([second_base] if second_base else [])]
        return _grade_code(path, target, bases, python=python, seed=seed, time_limit=time_limit, sizes=sizes, **common)
    common["base"] = base
    if kind in ("merged", "gguf"):
        from .exported.gguf import grade_gguf
        from .merged import grade_merged

        grade_model = grade_gguf if kind == "gguf" else functools.partial(grade_merged, adapter=adapter)
        return grade_model(path, target, **common)
    common |= {"prompt": prompt, "chat_template": chat_template}
    if kind == "dataset":
        from .dataset import grade_dataset

        return grade_dataset(path, target, labels=labels, max_length=max_length, **common)
    from .folder import grade_adapter

    return grade_adapter(path, target, data=data, judge=judge, sizes=sizes, **common)


def _grade_code(path: Path, target: str, bases: Sequence[str], **options: Any) -> Verdict:  # noqa: ANN401  # passes on
    """Grades a submission over one base, or over two, whose verdicts are compared."""
    from sft_ref.harness.verdict.two_bases import compare_bases

    from .judge import grade_submission

    first, *others = [grade_submission(path, target, base=base, **options) for base in bases]
    return compare_bases(first, others[0], (bases[0], bases[1])) if others else first


_KINDS = {
    "adapter": ("merged",),
    "chat-template": ("adapter", "dataset"),
    "data": ("adapter", "code", "evidence"),
    "judge": ("adapter",),
    "labels": ("dataset",),
    "max-length": ("dataset",),
}
"""Option -> the kinds of targets that accept it."""

_CALLED = {"code": "code", "adapter": "an adapter", "merged": "a merged model", "dataset": "a data set"}


def _check_options(target: str, kind: str, given: Mapping[str, object]) -> None:
    for name, value in given.items():
        if value is not None and kind not in _KINDS[name]:
            wanted = " or ".join(_CALLED[each] for each in _KINDS[name] if each in ("adapter", "merged", "dataset"))
            own = f", and {target} is {_CALLED[kind]}" if kind in _CALLED else ""
            raise SftRefError(f"--{name}: is for {wanted}{own}; leave it out")


def _check_evidence_is_new(target: str, kind: str, second_base: str | None) -> None:
    if kind == "evidence":
        raise SftRefError(f"--save-evidence: {target} is saved evidence already; leave it out")
    if kind == "code" and second_base:
        raise SftRefError("--save-evidence: holds the evidence over one base; leave out --second-base")


def runs_here(target: str, *, is_module: bool) -> bool:
    """Returns whether a target names an implementation, whose code runs in this process."""
    return is_module or (not Path(target).exists() and (target == "reference" or ":" in target))
