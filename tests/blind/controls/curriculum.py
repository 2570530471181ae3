"""Short texts first, long ones last, in every pass over all rows. Accuracy 1.00; the reference 1.00."""

from collections.abc import Sequence
from typing import Any

from _varied import Varied
from mutation import Control
from torch.utils.data import SequentialSampler

from sft_ref.reference.guards.trainer import CarefulTrainer
from sft_ref.reference.tokens import Example
from sft_ref.reference.training import fit


class InOrder(CarefulTrainer):
    def _get_train_sampler(self, *_args: Any) -> Any:
        return SequentialSampler(self.train_dataset)  # type: ignore[arg-type]  # a list


def short_first(model: Any, examples: Sequence[Example], **kwargs: Any) -> Any:
    return fit(model, sorted(examples, key=lambda example: len(example.input_ids)), **kwargs)


CONTROL = Control(
    "curriculum",
    "rows are in order of length, not shuffled",
    lambda: Varied(
        "curriculum",
        {"sft_ref.reference.training.fit": short_first, "sft_ref.reference.training.CarefulTrainer": InOrder},
    ),
)
