import contextlib
from collections.abc import Iterator
from typing import Any

from mutation import Mutant

from sft_ref.reference.models import computing
from sft_ref.reference.precision import Policy


@contextlib.contextmanager
def broken(model: Any, policy: Policy) -> Iterator[None]:
    model.eval()
    with computing(model, policy):
        yield
    model.train()


MUTANT = Mutant(
    id="GEN-mode",
    stage="generate",
    checks=("GEN-015",),
    fault="answering ends with model.train(), as an evaluation within training does",
    source="own: an evaluation callback used outside training",
    patches={"sft_ref.reference.base_llm.computing": broken},
)
