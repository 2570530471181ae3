import contextlib
from collections.abc import Iterator
from typing import Any

from mutation import Mutant

from sft_ref.reference.models import computing
from sft_ref.reference.precision import Policy


@contextlib.contextmanager
def broken(model: Any, policy: Policy) -> Iterator[None]:
    with computing(model, policy):
        yield
    model.base_model.disable_adapter_layers()


MUTANT = Mutant(
    id="GEN-once",
    stage="generate",
    checks=("GEN-014", "GEN-015"),
    fault="the adapter is on for the first call alone: a comparison with the base leaves it switched off",
    source="own: disable_adapter_layers() without enable_adapter_layers()",
    patches={"sft_ref.reference.base_llm.computing": broken},
)
