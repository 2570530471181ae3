"""The embedding gets more rows than the base's, a round number; no text uses them, and they are not saved."""

from mutation import Control
from plain_loop import PLAIN, PlainLoop

CONTROL = Control(
    "vocabulary_rounded_up",
    "the embedding is enlarged to 1,024 rows, in training and on loading",
    lambda: PlainLoop("vocabulary_rounded_up", convention=PLAIN, vocabulary=1024),
)
