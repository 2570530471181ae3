import contextlib
from collections.abc import Iterator
from typing import Any

from mutation import Mutant

from sft_ref.reference.models import computing
from sft_ref.reference.precision import Policy


@contextlib.contextmanager
def broken(model: Any, policy: Policy) -> Iterator[None]:
    with model.disable_adapter(), computing(model, policy):
        yield


MUTANT = Mutant(
    id="GEN-off",
    stage="generate",
    checks=("GEN-014",),
    fault="the adapter is switched off while the model answers, and on again afterwards",
    source="own: disable_adapter() left from a comparison with the base",
    patches={"sft_ref.reference.base_llm.computing": broken},
)
