"""How far a number may move from its baseline, and why that far. Needs no torch.

A baseline is made on one machine and compared on others: another processor, or another number of threads, sums in
another order, and training carries that on. What is bit for bit within one process (a parity of 0) stays so everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Band:
    """One quantity: what may differ from its baseline.

    Attributes:
        quantity: a key of the figures.
        kind: "equal" (nothing may), "apart" (a difference), "share" (a difference as a share of the baseline), "times"
            (a factor up or down; zero stays zero).
        allowed: that much.
        why: the reason.
    """

    quantity: str
    kind: Literal["equal", "apart", "share", "times"]
    allowed: float
    why: str

    def moved(self, golden: Any, found: Any) -> bool:  # noqa: ANN401  # a figure of any type
        """Whether it moved further than it may; None and what is not finite equal nothing, themselves neither."""
        if self.kind == "equal" and not isinstance(golden, float):
            return golden is None or found is None or golden != found
        if not _finite(golden) or not _finite(found):
            return True
        if self.kind == "times" and (golden <= 0 or found <= 0):
            return bool(golden != found)
        measured = {
            "equal": 0.0 if golden == found else math.inf,
            "apart": abs(found - golden),
            "share": abs(found - golden) / abs(golden) if golden else math.inf if found else 0.0,
            "times": max(found, golden) / min(found, golden) if golden > 0 and found > 0 else math.inf,
        }[self.kind]
        return measured > self.allowed

    def limit(self) -> str:
        """What is allowed, in words."""
        return {
            "equal": "none",
            "apart": f"±{self.allowed:g}",
            "share": f"±{self.allowed:.1%}",
            "times": f"×{self.allowed:g} or ÷{self.allowed:g}",
        }[self.kind]


BANDS: tuple[Band, ...] = (
    Band("verdict", "equal", 0, "same, drift and broken are told by exact rules"),
    Band("stage", "equal", 0, "a fault does not wander"),
    Band("dtypes", "equal", 0, "the code decides them, not the processor"),
    Band("same_dtypes", "equal", 0, "the code decides it"),
    Band("computed", "equal", 0, "the code decides which classes of module compute otherwise than in training"),
    Band("finite", "equal", 0, "no rounding makes a number infinite"),
    Band("weights_mib", "share", 1e-6, "the number of bytes is the code's choice"),
    Band(
        "parity", "times", 3, "the largest of 10^5 differences follows the order of sums; 0 is equal bits, and stays 0"
    ),
    Band("top1", "apart", 0.02, "clear choices alone count; two in a hundred stand for other weights"),
    Band("loss", "apart", 0.02, "a trained model's loss, after a hundred steps of rounding; a tenth of a lost token"),
    Band("answer_rate", "apart", 0.05, "rounding in training turns a few answers in a hundred"),
    Band("accuracy", "apart", 0.1, "rounding in training turns a few answers in a hundred, and their worth more often"),
    Band("logits mean", "apart", 1.0, "logits may shift together without any effect"),
    Band("logits std", "share", 0.1, "their spread follows the weights, which rounding moves little"),
    Band("logits largest", "share", 0.2, "an extreme value"),
    Band("headroom", "times", 2, "an extreme value"),
    Band("speed", "times", 5, "tokens/s over those under fp32: other kernels, and a machine that others use too"),
)

FIRST_LOSSES: Mapping[str, Band] = {
    "fp32": Band("first losses", "share", 1e-3, "sums in another order, and 5 optimizer steps on top"),
    "fp16": Band("first losses", "share", 5e-3, "11 significant bits, and 5 optimizer steps on top"),
    "bf16": Band("first losses", "share", 2e-2, "8 significant bits, and 5 optimizer steps on top"),
}
"""By the dtype of the products in training."""


def _finite(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, (int, float)) and math.isfinite(value)
