import contextlib
from collections.abc import Iterator
from typing import Any

from mutation import Mutant

from sft_ref.reference.models import computing
from sft_ref.reference.precision import Policy

ROOM = 16


@contextlib.contextmanager
def broken(model: Any, policy: Policy) -> Iterator[None]:
    prompt: list[int] = []

    def count(_decoder: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        held = kwargs["past_key_values"].get_seq_length()
        if not held:
            prompt[:] = [kwargs["input_ids"].shape[1]]
        elif held >= prompt[0] + ROOM:
            raise IndexError(f"index {held} is out of bounds for dimension 2 with size {held}")

    hook = model.get_base_model().model.register_forward_pre_hook(count, with_kwargs=True)
    try:
        with computing(model, policy):
            yield
    finally:
        hook.remove()


MUTANT = Mutant(
    id="GEN-full",
    stage="generate",
    checks=("GEN-016",),
    fault="a cache of a fixed size has room for sixteen new tokens, and longer answers raise an error",
    source="own: a static cache sized for short answers",
    patches={"sft_ref.reference.base_llm.computing": broken},
)
