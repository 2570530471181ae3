"""Numerical tolerances for rounding and for chance, each with its reason.

A threshold on the subject of a single check, such as a fraction of the steps, is defined beside that check. The
coarsest dtype in a computation decides the tolerance for rounding; different dtypes never share one number.
"""

from __future__ import annotations

import torch

LOGITS = {"float32": 1e-4, "float16": 3e-2, "bfloat16": 1e-1}
"""Largest difference of a logit that the order of summation explains, as a fraction of the largest logit, by the
coarsest dtype of the computation; see `logits`.

Largest difference measured on a CPU between merged and unmerged models that must agree: 5.2e-5 in fp32 (controls; 9e-6
for the reference), 1.4e-2 in fp16 and 5e-2 in bf16. The limit is twice that, since other devices sum in other orders;
in fp32 it is a third of the difference that a merge rounded to bf16 makes (3e-4).
"""

WEIGHTS = {"float32": 2.0**-20, "float16": 2.0**-10, "bfloat16": 2.0**-7}
"""Largest relative error, as a norm over a matrix, of a weight that was rounded to this dtype between training and use.

In 16 bits, twice the unit roundoff (two roundings: of the stored tensor, and of its sum with another); in fp32, 16
times, since a product of two matrices is summed before it is rounded.
"""

ROUNDING = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""Largest difference that rounding explains between two computations of the same values: root mean square, as a
fraction of their standard deviation.

Batches of different shapes are summed and rounded differently. Measured on a CPU over the generation steps of a number,
prompted alone and in a batch: with 30 layers (SmolLM2-135M) up to 2e-6 in fp32, 8e-3 in fp16, 4e-2 in bf16; with 3
layers less. Wrong positions give 0.3 to 0.6, attended padding 0.2. The fp32 limit leaves room for devices that sum
differently.

Answers of the toy against one forward pass in fp32: up to 2.5e-6 in fp32, 3.3e-3 with an fp16 base, 3.5e-2 under bf16
autocast. A cache of 8 keys gives 0.3, positions that do not advance 0.4, a disabled adapter 0.7. Logits at the end of
training against those of base plus delta: up to 1e-5 (DoRA), and 3.6e-3 or more if the base or its positions are
rounded.
"""

ANY_TOKEN = 1e-2
"""Largest difference of the logits at a single token in fp32, as a fraction of their spread.

Rounding gave 5.8e-5 at the worst token of the controls; a cache of 8 keys gives 0.3.
"""

DROWNED = 0.5
"""Largest norm of the rounding error, as a fraction of the norm of the delta; beyond it, half of the delta is noise."""

SUMS = 1e-3
"""Largest relative error, as a norm over a tensor, of gradients that are summed in another order in fp32.

Rounding gives about 1e-6 on small models, and more with depth; a wrong normalisation gives 0.1 or more.
"""

ANGLES = 2.0**-9
"""Largest error of a rotary cosine or sine that is computed in fp32.

An angle of up to 8191 is rounded to 2**-11 in fp32, and twice if both the frequency and the product are rounded; a
frequency rounded to bf16 changes the angle at the last position by whole radians.
"""

LOSS = 0.1
"""Difference in mean loss, in nat per token, above which a model counts as worse than another: an answer token becomes
a tenth less likely. Loading in 16 bits changes the loss by about 0.01; a lost adapter by more than 1."""

FIRST_LOSS = 1e-3
"""Largest difference between losses per token that rounding in fp32 explains, root mean square in nat.

Measured on the toy, the worse of two batches of 32 rows: 7e-6. A base in 8 bits gives 3.6e-2 to 0.29, rotary
frequencies in bf16 give 5e-3 to 1.2e-2.
"""

FIRST_LOSS_16 = {"float16": 3e-3, "bfloat16": 2e-2}
"""Largest difference between losses that rounding in 16 bits explains for four tokens of five, as a fraction of the
root mean square of the base's losses. A single token may be off by 6 nat.

Measured on the toy with texts of three kinds and mean losses of 3 to 17 nat: up to 8e-4 in fp16 and 6.3e-3 in bf16. A
base in 4 bits gives 3e-2 to 0.1.
"""

REPORTED_LOSS = 0.01
"""Largest relative error of a reported loss against the loss computed from the same logits; it allows for the order of
summation and half precision. A mean over rows instead of tokens is off by more at some step."""

LAST_DIGIT = 1e-4
"""Largest error of a reported loss that a log with four digits explains, as transformers used to write."""

TWO_DECIMALS = 0.011
"""Largest difference explained by rounding a figure to two decimals."""

GRADIENT_SCALE = 0.02
"""Largest relative error of the gradient at the logits; bf16 rounds each of its entries by 0.004 at most."""

FALL = 0.01
"""Mean decrease of the true answer's loss, in nat per token, above which training had an effect: a token becomes a
hundredth likelier. Slow but sound settings (80 steps at a learning rate of 5e-5; 40 steps with a rank of 4) reach 0.05
to 0.09 on a toy; a learning rate of 1e-9, at which nothing moves, 1e-5."""

PAIRED_T = 5.0
"""Student's t above which paired differences are not due to chance: p < 3e-6 with 64 rows, so that a thousand gradings
raise no false alarm."""


def name_dtype(dtype: torch.dtype) -> str:
    """Returns this module's name of a dtype; float8 and similar dtypes count as bfloat16, the coarsest known."""
    name = str(dtype).removeprefix("torch.")
    if name == "float64":
        return "float32"
    return name if name in WEIGHTS else "bfloat16"


def logits(dtype: str, like: torch.Tensor) -> float:
    """Returns the largest change of a logit that rounding explains in a model that computes `like` in `dtype`."""
    return LOGITS[dtype] * like.float().abs().max().item()


def rounding(dtype: torch.dtype) -> float:
    """Returns the largest difference that rounding explains between values computed in `dtype`; see `apart`."""
    if dtype is torch.float32 and torch.get_float32_matmul_precision() != "highest":
        return ROUNDING[torch.float16]  # TF32 keeps as many digits as fp16
    return ROUNDING[dtype]


def apart(one: torch.Tensor, other: torch.Tensor, spread: float | None = None) -> float:
    """Returns the root mean square difference divided by `spread`, by default the standard deviation of `other`."""
    return float(apart_by_row(one.flatten(), other.flatten(), spread))


def apart_by_row(one: torch.Tensor, other: torch.Tensor, spread: float | None = None) -> torch.Tensor:
    """Like `apart`, but for each row along the last dimension; the default spread is that of all values."""
    return (one - other).pow(2).mean(-1).sqrt() / (other.std() if spread is None else spread)


def differing_choices(one: torch.Tensor, other: torch.Tensor, allowed: float) -> torch.Tensor:
    """Marks positions where two models choose different next tokens although the first model's margin exceeds rounding.

    Args:
        one: logits, (..., vocabulary).
        other: logits of the same shape.
        allowed: largest change of a logit by rounding (`logits`); it may flip a choice with a margin below twice that.

    Returns:
        bool of shape (...).
    """
    best = one.float().topk(2, dim=-1).values
    clear = best[..., 0] - best[..., 1] > 2 * allowed
    return clear & (one.argmax(-1) != other.argmax(-1))
