"""Observes a loaded model on the true answers and on its generated answers, and compares two observations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sft_ref.harness.core import tolerance
from sft_ref.harness.core.paired import compare, is_better, is_worse
from sft_ref.harness.evidence.answers import Answer
from sft_ref.harness.instruments.losses import forward, losses_of
from sft_ref.harness.recorders.folder.answers.evaluator import LOGITS, ModelEvaluator
from sft_ref.harness.recorders.folder.answers.wording import WordedText
from sft_ref.io.rows.forms import Row
from sft_ref.reference.guards.dtypes import count_dtypes
from sft_ref.reference.models import computing
from sft_ref.reference.tokens import IGNORE_INDEX
from sft_ref.sweep.cell import CellVerdict
from sft_ref.sweep.measure import SHORT

from .figures import ChangedAnswer, WayFigures
from .loading import Way


@dataclass(frozen=True)
class Observed:
    """The outputs of a loaded model.

    Attributes:
        logits: logits of positions that predict a token of a true answer, fp32: (positions, vocabulary); only of the
            first positions that fit into a quarter of a gigabyte, the same for every way to load.
        losses: loss of each row's true answer, in nat per token, float64.
        ids: generated tokens of each row.
        answers: the parsed answers in these tokens.
        dtypes: dtypes of base and adapter; for an engine, format of its weights and compute dtype.
        coarsest: the dtype that rounds most among the model's storage and compute dtypes.
    """

    logits: torch.Tensor
    losses: torch.Tensor
    ids: tuple[tuple[int, ...], ...]
    answers: tuple[Answer, ...]
    dtypes: str
    coarsest: str


def observe(model: Any, way: Way, tokenizer: Any, rows: Sequence[Row], texts: Sequence[WordedText]) -> Observed:  # noqa: ANN401
    """Computes the outputs of a model on rows.

    Args:
        model: model, as `loading.load` returns it.
        way: way in which the model was loaded.
        tokenizer: tokenizer of the adapter.
        rows: questions with their true answers.
        texts: the rows as formatted texts.
    """
    asker = ModelEvaluator(model, tokenizer)
    encoded = [asker.encode(text) for text in texts]
    logits: list[torch.Tensor] = []
    losses: list[torch.Tensor] = []
    room = LOGITS
    with computing(model, way.policy):
        for batch in asker.batches(encoded):
            found = forward(model, batch).float().cpu()
            losses.append(losses_of(found, batch))
            own = found[:, :-1][batch.labels[:, 1:] != IGNORE_INDEX]
            logits.append(own[: room // own.shape[-1]])
            room -= logits[-1].numel()
        ids = [tuple(each) for each in asker.complete(encoded)]
    answers = [asker.read(*each) for each in zip(ids, rows, texts, strict=True)]
    dtypes = _stored(model) if way.engine is None else f"{way.engine.weights}/{SHORT[way.engine.coarsest]}"
    return Observed(torch.cat(logits), torch.cat(losses), tuple(ids), tuple(answers), dtypes, way.coarsest)


def _stored(model: torch.nn.Module) -> str:
    """Returns the dtypes of base and adapter."""
    stored = count_dtypes(model)
    return "/".join(
        "+".join(sorted({SHORT.get(dtype, dtype) for dtype in stored[kind].values()}))
        for kind in ("base", "adapter")
        if stored[kind]
    )


def compared(found: Observed, first: Observed, way: Way, questions: Sequence[str]) -> WayFigures:
    """Compares one way to load with the first, and returns its figures and verdict.

    Args:
        found: outputs of this way.
        first: outputs of the first way.
        way: the way to load.
        questions: texts of the questions.
    """
    coarsest = max(found.coarsest, first.coarsest, key=lambda dtype: tolerance.WEIGHTS[dtype])
    allowed = tolerance.logits(coarsest, first.logits)
    turned = tolerance.differing_choices(first.logits, found.logits, allowed)
    one, other = first.logits.log_softmax(-1), found.logits.log_softmax(-1)
    right = [answer.right for answer in found.answers]
    figures: dict[str, Any] = {
        "load": way.name,
        "dtypes": found.dtypes,
        "finite": bool(found.logits.isfinite().all()),
        "parity": (found.logits - first.logits).abs().max().item(),
        "rounding": allowed,
        "divergence": (one.exp() * (one - other)).sum(-1).mean().clamp(min=0).item(),
        "top1": 1 - turned.float().mean().item(),
        "loss": found.losses.mean().item(),
        "right": sum(right) / len(right),
        "rows": len(right),
        "changed": _changed(found, first, questions),
    }
    verdict, why = _judge(found, first, figures)
    return WayFigures(verdict=verdict, why=why, **figures)


def _changed(found: Observed, first: Observed, questions: Sequence[str]) -> tuple[ChangedAnswer, ...]:
    changed = []
    for n, (now, was) in enumerate(zip(found.ids, first.ids, strict=True)):
        if now != was:
            same = next((at for at, pair in enumerate(zip(now, was, strict=False)) if pair[0] != pair[1]), None)
            before, after = first.answers[n], found.answers[n]
            at = min(len(now), len(was)) if same is None else same
            changed.append(
                ChangedAnswer(n + 1, questions[n], at + 1, before.text, after.text, before.right, after.right)
            )
    return tuple(changed)


def _judge(found: Observed, first: Observed, figures: dict[str, Any]) -> tuple[CellVerdict, str]:
    if not figures["finite"]:
        return CellVerdict.BROKEN, "logits are not finite"
    if is_worse(found.losses, first.losses):
        return CellVerdict.BROKEN, f"the true answers' loss is higher by {compare(found.losses, first.losses)}"
    right, due = ([answer.right for answer in each.answers] for each in (found, first))
    if is_better(due, right):
        return CellVerdict.BROKEN, f"{sum(right)} of {len(right)} answers are right, instead of {sum(due)}"
    if not figures["parity"] and not figures["changed"]:
        return CellVerdict.SAME, ""
    moved = f"logits by up to {figures['parity']:.2g}, divergence {figures['divergence']:.2g} nat per token"
    return CellVerdict.DRIFT, f"{moved}, {len(figures['changed'])} of {len(right)} answers"
