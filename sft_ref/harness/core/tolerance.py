"""How close is equal. Every tolerance of the harness stands here, with its reason; a check never brings its own.

The coarsest dtype in play decides how much rounding may move; different dtypes never share one number.
"""

from __future__ import annotations

import torch

LOGITS = {"float32": 1e-4, "float16": 3e-2, "bfloat16": 1e-1}
"""Largest difference of a logit that the order of sums explains, as a share of the largest logit, by the coarsest dtype
that computes; see `logits`.

Measured on a CPU for merged against unmerged, the worst of the pairs that must agree: 5.2e-5 in fp32 (of the controls;
9e-6 for the reference), 1.4e-2 in fp16 and 5e-2 in bf16. Other devices sum in other orders: hence twice that, which in
fp32 is a third of what a merge rounded to bf16 moves (3e-4).
"""

WEIGHTS = {"float32": 2.0**-20, "float16": 2.0**-10, "bfloat16": 2.0**-7}
"""Largest relative error, as a norm over a matrix, of a weight that was rounded to this dtype on its way.

Twice the unit roundoff (two roundings: the stored tensor, and the sum with another) in 16 bits; 16 times in fp32, since
a product of two matrices is summed before it is rounded.
"""

ROUNDING = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""How far rounding may set apart two ways to compute the same values: root mean square, as a share of their spread.

Sums over batches of another shape are rounded otherwise. Measured on a CPU over the steps of a number, asked alone and
in a batch: with 30 layers (SmolLM2-135M) up to 2e-6 in fp32, 8e-3 in fp16, 4e-2 in bf16; with 3 layers less. Wrong
positions come to 0.3 to 0.6, padding that is attended to 0.2. fp32 has room for devices that sum otherwise.

Answers of the toy against one forward in fp32: up to 2.5e-6 in fp32, 3.3e-3 over an fp16 base, 3.5e-2 under bf16
autocast. A cache of 8 keys comes to 0.3, positions that stand still to 0.4, a switched-off adapter to 0.7. Logits at
the end of training against base plus addition: up to 1e-5 (DoRA), and from 3.6e-3 on where the base or its positions
are rounded.
"""

SUMS = 1e-3
"""Largest relative error, as a norm over a tensor, of gradients that are summed in another order in fp32.

Rounding leaves about 1e-6 on small models and grows with depth; a wrong normalisation is off by 0.1 and more.
"""

ANGLES = 2.0**-9
"""Largest error of a rotary cosine or sine that is computed in fp32.

An angle of up to 8191 is rounded to 2**-11 in fp32, twice where frequency and product are; a frequency rounded to bf16
turns the angle at the last position by whole radians.
"""

LOSS = 0.1
"""Mean loss, in nat a token, by which one model must be worse than another to be called worse: a token of the answer
becomes a tenth less likely. Loading in 16 bits moves about 0.01; a lost adapter moves more than 1."""

FIRST_LOSS = 1e-3
"""How far apart rounding in fp32 may set the losses of tokens, root mean square in nat.

Measured on the toy, the worst of two batches of 32 rows: 7e-6. A base in 8 bits comes to 3.6e-2 to 0.29, rotary
frequencies in bf16 to 5e-3 to 1.2e-2.
"""

FIRST_LOSS_16 = {"float16": 3e-3, "bfloat16": 2e-2}
"""How far apart rounding in 16 bits may set the losses of four tokens of five, as a share of the root mean square of
the base's losses. A single token may be off by 6 nat.

Measured on the toy, texts of three kinds with mean losses of 3 to 17 nat: up to 8e-4 in fp16 and 6.3e-3 in bf16. A base
in 4 bits comes to 3e-2 to 0.1.
"""

REPORTED_LOSS = 0.01
"""Largest relative error of a reported loss, against the loss that is computed from the same logits: the order of sums,
and half precision at most. A mean over rows in place of tokens is off by more at some step."""

LAST_DIGIT = 1e-4
"""Largest error of a reported loss that a log explains which rounds to four digits, as transformers did."""

GRADIENT_SCALE = 0.02
"""Largest relative error of the gradient at the logits; bf16 rounds each of its entries by 0.004 at most."""

FALL = 0.01
"""Mean fall of the true answer's loss, in nat a token, from which on training did something: a hundredth likelier.
Slow but sound settings (80 steps at a rate of 5e-5; 40 steps with a rank of 4) reach 0.05 to 0.09 on a toy; a rate of
1e-9, at which nothing moves, 1e-5."""

PAIRED_T = 5.0
"""Student's t of paired differences above which they are no chance: p < 3e-6 with 64 rows, so that a thousand gradings
raise no false alarm."""


def name_dtype(dtype: torch.dtype) -> str:
    """The dtype as this module names it; float8 and the like count as bfloat16, the coarsest known."""
    name = str(dtype).removeprefix("torch.")
    if name == "float64":
        return "float32"
    return name if name in WEIGHTS else "bfloat16"


def coarsest(model: torch.nn.Module) -> str:
    """The float dtype of a model's parameters that rounds most."""
    found = {name_dtype(tensor.dtype) for tensor in model.parameters() if tensor.is_floating_point()}
    return max(found, key=lambda name: WEIGHTS[name], default="float32")


def logits(dtype: str, like: torch.Tensor) -> float:
    """How far rounding may move a logit of a model that computes in `dtype`, whose logits are `like` these."""
    return LOGITS[dtype] * like.float().abs().max().item()


def rounding(dtype: torch.dtype) -> float:
    """How far apart rounding may set values that are computed in `dtype`; see `apart`."""
    if dtype is torch.float32 and torch.get_float32_matmul_precision() != "highest":
        return ROUNDING[torch.float16]  # TF32 keeps as many digits as fp16
    return ROUNDING[dtype]


def apart(one: torch.Tensor, other: torch.Tensor, spread: float | None = None) -> float:
    """Root mean square of the difference, as a share of the spread: by default that of the second's values."""
    return float(apart_by_row(one.flatten(), other.flatten(), spread))


def apart_by_row(one: torch.Tensor, other: torch.Tensor, spread: float | None = None) -> torch.Tensor:
    """As `apart`, but of each row along the last dimension; the spread is that of all values."""
    return (one - other).pow(2).mean(-1).sqrt() / (other.std() if spread is None else spread)


def differing_choices(one: torch.Tensor, other: torch.Tensor, allowed: float) -> torch.Tensor:
    """Positions where two models choose another next token, although the first one's margin is beyond rounding.

    Args:
        one: logits, (..., vocabulary).
        other: logits of the same shape.
        allowed: how far rounding may move a logit (`logits`); a margin of less than twice that may turn.

    Returns:
        bool of shape (...).
    """
    best = one.float().topk(2, dim=-1).values
    clear = best[..., 0] - best[..., 1] > 2 * allowed
    return clear & (one.argmax(-1) != other.argmax(-1))
