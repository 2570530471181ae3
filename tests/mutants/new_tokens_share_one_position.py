import contextlib
from collections.abc import Iterator
from typing import Any

from mutation import Mutant

from sft_ref.reference.models import computing
from sft_ref.reference.precision import Policy


@contextlib.contextmanager
def broken(model: Any, policy: Policy) -> Iterator[None]:
    prompt = [0]

    def stay(_decoder: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        past = kwargs["past_key_values"].get_seq_length()
        if not past:
            prompt[0] = kwargs["input_ids"].shape[1]
        return args, {**kwargs, "position_ids": kwargs["position_ids"] - max(0, past - prompt[0])}

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
    fault="all new tokens have the position of the first one",
    source="own: position ids of the prompt, passed again with every new token",
    patches={"sft_ref.reference.base_llm.computing": broken},
)
