import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.models import computing
from sft_ref.reference.precision import Policy


@contextlib.contextmanager
def broken(model: Any, policy: Policy) -> Iterator[None]:
    with computing(model, policy):
        yield
    for name, tensor in model.named_parameters():
        if "lora_" not in name:
            tensor.data = tensor.data.to(torch.float8_e4m3fn).to(tensor.dtype)


MUTANT = Mutant(
    id="GEN-rounded",
    stage="generate",
    checks=("GEN-014", "GEN-015"),
    fault="each call casts the base to 8 bits and back, to save memory between calls",
    source="own: a model offloaded in 8 bits",
    patches={"sft_ref.reference.base_llm.computing": broken},
)
