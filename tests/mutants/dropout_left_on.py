import contextlib
from collections.abc import Iterator
from typing import Any

from mutation import Mutant

from sft_ref.reference.models import computing
from sft_ref.reference.precision import Policy


@contextlib.contextmanager
def broken(model: Any, policy: Policy) -> Iterator[None]:
    for layer in model.get_base_model().model.layers:
        layer.self_attn.attention_dropout = 0.1
    with computing(model.train(), policy):
        yield


MUTANT = Mutant(
    id="A10",
    stage="generate",
    checks=("GEN-003", "GEN-004"),
    fault="the model answers in training mode, and attention drops a tenth of what it sees",
    source="transformers#34469, peft#3753",
    patches={"sft_ref.reference.base_llm.computing": broken},
)
