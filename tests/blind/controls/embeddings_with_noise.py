"""NEFTune: the embeddings carry noise in training. Accuracy 0.98; the reference 0.97."""

from _varied import Varied, arguments
from mutation import Control

CONTROL = Control(
    "noisy_embeddings",
    "noise is added to the embeddings in training (NEFTune)",
    lambda: Varied("noisy_embeddings", arguments(neftune_noise_alpha=5.0)),
)
