import contextlib
from collections.abc import Iterator
from typing import Any

from mutation import Mutant

from sft_ref.reference.models import computing
from sft_ref.reference.precision import POLICIES, Policy

SCALE = 1e6
"""Of the residual stream, as in bases with massive activations; the norms undo it, wherever numbers reach so far."""


@contextlib.contextmanager
def broken(model: Any, _policy: Policy) -> Iterator[None]:
    hooks = [
        module.register_forward_hook(lambda _module, _args, output: output * SCALE)
        for name, module in model.named_modules()
        if name.endswith(("embed_tokens", "o_proj", "down_proj"))
    ]
    try:
        with computing(model, POLICIES["fp16-mixed"]):
            yield
    finally:
        for hook in hooks:
            hook.remove()


MUTANT = Mutant(
    id="P1",
    stage="generate",
    checks=("GEN-002", "GEN-007"),
    fault="generation computes in fp16, whose range the base's down-projections exceed",
    source="transformers#27179",
    patches={"sft_ref.reference.base_llm.computing": broken},
)
