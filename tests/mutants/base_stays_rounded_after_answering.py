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
    for name, tensor in model.named_parameters():
        if "lora_" not in name:
            step = tensor.data.abs().max() / 7
            tensor.data = (tensor.data / step).round() * step


MUTANT = Mutant(
    id="GEN-rounded",
    stage="generate",
    checks=("GEN-014", "GEN-015"),
    fault="each call rounds the base to 4 bits and back, to save memory between calls",
    source="own: a model offloaded in 4 bits",
    patches={"sft_ref.reference.base_llm.computing": broken},
)
