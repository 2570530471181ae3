import contextlib
from collections.abc import Iterator
from typing import Any

from mutation import Mutant

from sft_ref.reference.models import computing
from sft_ref.reference.precision import Policy


@contextlib.contextmanager
def broken(model: Any, policy: Policy) -> Iterator[None]:
    first: dict[str, Any] = {}

    def stay(_decoder: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        positions = kwargs["position_ids"]
        if not kwargs["past_key_values"].get_seq_length():
            first.clear()
        elif len(first.setdefault("positions", positions)) == len(positions):
            positions = first["positions"]
        return args, {**kwargs, "position_ids": positions}

    hook = model.get_base_model().model.register_forward_pre_hook(stay, with_kwargs=True)
    try:
        with computing(model, policy):
            yield
    finally:
        hook.remove()


MUTANT = Mutant(
    id="GEN-position",
    stage="generate",
    checks=("GEN-014",),
    fault="while no row has ended, all new tokens have the position of the first one",
    source="own: position ids of the prompt, passed again with every new token",
    patches={"sft_ref.reference.base_llm.computing": broken},
)
