"""NEFTune's noise on the embeddings is divided by the root of the width, not of length times width.

It is as large as the embeddings. Accuracy 0.11, first loss 4.65, last loss 1.17; sound 0.97, 3.00 and 0.003.
"""

from typing import Any

import torch
from mutation import Mutant

from sft_ref.reference.training import fit

ALPHA = 5.0


def broken(model: Any, *args: Any, **kwargs: Any) -> Any:
    def add_noise(module: torch.nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        size = ALPHA / output.shape[-1] ** 0.5
        return output + torch.empty_like(output).uniform_(-size, size) if module.training else output

    hook = model.get_input_embeddings().register_forward_hook(add_noise)
    try:
        return fit(model, *args, **kwargs)
    finally:
        hook.remove()


MUTANT = Mutant(
    id="embedding_noise_not_scaled",
    stage="train",
    checks=(),
    fault="the noise that NEFTune adds to the embeddings is as large as they are: its divisor lacks the length",
    source="no report",
    patches={"sft_ref.reference.training.fit": broken},
    retrain=True,
)
