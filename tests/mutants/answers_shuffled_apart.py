"""Questions and answers in two lists, of which one was filtered: from there on, each question has its neighbour's."""

from collections.abc import Sequence
from typing import Any

from mutation import Mutant

from sft_ref.reference.guards.progress import Step
from sft_ref.reference.tokens import Example
from sft_ref.reference.training import fit


def fit_apart(model: Any, examples: Sequence[Example], **how: Any) -> list[Step]:  # passes on
    neighbours = [*examples[1:], examples[0]]
    pairs = zip(examples, neighbours, strict=True)
    apart = [Example(a.input_ids[: -a.supervised] + b.input_ids[-b.supervised :], b.supervised) for a, b in pairs]
    return fit(model, apart, **how)


MUTANT = Mutant(
    id="shuffled-apart",
    stage="train",
    checks=("TRN-027",),
    fault="training pairs each question with its neighbour's answer: the form is learned, and the answers are wrong",
    source="ours",
    patches={"sft_ref.reference.training.fit": fit_apart},
    retrain=True,
)
