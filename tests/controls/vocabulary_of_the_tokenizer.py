"""The embedding loses the rows for which the tokenizer has no token, and is not saved."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "vocabulary_of_the_tokenizer",
    "the embedding is reduced to the 762 tokens of the tokenizer, in training and on loading",
    lambda: PlainLoop("vocabulary_of_the_tokenizer", convention=PLAIN, vocabulary=762),
)
