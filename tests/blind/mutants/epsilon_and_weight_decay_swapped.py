"""AdamW gets its last two arguments in the wrong order: an epsilon of 0.1, a weight decay of 1e-8.

Most gradients are smaller than this epsilon, so the steps are far too short. Accuracy 0.00, last loss 2.67; sound
0.97 and 0.003.
"""

from typing import Any

from mutation import Mutant
from transformers import TrainingArguments


def broken(**usual: Any) -> TrainingArguments:
    return TrainingArguments(**usual, adam_epsilon=0.1, weight_decay=1e-8)


MUTANT = Mutant(
    id="epsilon_and_weight_decay_swapped",
    stage="train",
    checks=(),
    fault="Adam's epsilon and weight decay, given by position, change places",
    source="no report",
    patches={"sft_ref.reference.training.TrainingArguments": broken},
    retrain=True,
)
