"""How much a figure may differ from its baseline, and why. Does not need torch.

A baseline is made on one machine and compared on others. Another processor, or number of threads, sums in another
order, and training amplifies the difference. Bit-identity within one process (a parity of 0) holds on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Tolerance:
    """The tolerance of one figure.

    Attributes:
        quantity: key of the figure.
        kind: "equal" (no difference), "apart" (a difference), "share" (a difference as a share of the baseline), or
            "times" (a factor up or down; zero stays zero).
        allowed: the limit.
        why: the reason.
    """

    quantity: str
    kind: Literal["equal", "apart", "share", "times"]
    allowed: float
    why: str

    def moved(self, golden: Any, found: Any) -> bool:  # noqa: ANN401  # a figure of any type
        """Returns whether a figure differs by more than allowed; None and values that are not finite always do."""
        if self.kind == "equal" and not isinstance(golden, float):
            return golden is None or found is None or bool(golden != found)
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
        return bool(measured > self.allowed)

    def limit(self) -> str:
        """Returns the limit in words."""
        return {
            "equal": "none",
            "apart": f"±{self.allowed:g}",
            "share": f"±{100 * self.allowed:.2g} %",
            "times": f"×{self.allowed:g} or ÷{self.allowed:g}",
        }[self.kind]


CPU_SPEED = Tolerance(
    "speed", "times", 20, "a processor without 16-bit units took 7 times as long; other load adds to it"
)
TOLERANCES: tuple[Tolerance, ...] = (
    Tolerance("verdict", "equal", 0, "same, drift and broken follow from exact rules"),
    Tolerance("stage", "equal", 0, "a fault stays in its stage"),
    Tolerance("dtypes", "equal", 0, "the code decides them, not the processor"),
    Tolerance("same_dtypes", "equal", 0, "the code decides it"),
    Tolerance(
        "computed", "equal", 0, "the code decides which classes of module compute in other dtypes than in training"
    ),
    Tolerance("finite", "equal", 0, "no rounding makes a number infinite"),
    Tolerance("weights_mib", "share", 1e-6, "the number of bytes is the code's choice"),
    Tolerance(
        "parity",
        "times",
        5,
        "2.3 seen; the largest of many differences. 0 means equal bits in one process, and must stay 0",
    ),
    Tolerance("top1", "apart", 0.02, "0 seen; only clear choices count. Two in a hundred would mean other weights"),
    Tolerance("loss", "apart", 0.01, "0.0016 nat seen after 80 optimizer steps of rounding"),
    Tolerance("answer_rate", "apart", 0.05, "0 seen; rounding in training may change one answer in a hundred"),
    Tolerance("accuracy", "apart", 0.05, "0.01 seen; rounding in training may change one answer in a hundred"),
    Tolerance("logits mean", "apart", 0.5, "0.17 seen; logits may shift together without any effect"),
    Tolerance("logits std", "share", 0.05, "1.5 % seen"),
    Tolerance("logits largest", "share", 0.1, "2.7 % seen; an extreme value"),
    Tolerance("headroom", "times", 1.2, "1.01 seen; an extreme value"),
    CPU_SPEED,
)
""""Seen": the largest difference on a Xeon with AMX, with AVX2 only or a second thread, in the toy's fifteen cells."""

CUDA_SPEED = Tolerance("speed", "times", 2, "one kind of device; other load still counts")

FIRST_LOSSES: Mapping[str, Tolerance] = {
    "fp32": Tolerance("first losses", "share", 5e-5, "1.6e-7 seen; transformers 4 reports four decimals"),
    "fp16": Tolerance("first losses", "share", 2e-3, "an eighth of bf16's tolerance, because of 3 more bits"),
    "bf16": Tolerance("first losses", "share", 1e-2, "9.5e-4 seen; 8 significant bits, and up to 5 optimizer steps"),
}
"""Tolerances by the dtype of the matrix products in training."""


def tolerances_for(device: str) -> tuple[Tolerance, ...]:
    """Returns the tolerances for a kind of device (`sft_ref.sweep.run.device_name`)."""
    return TOLERANCES if device == "cpu" else (*TOLERANCES[:-1], CUDA_SPEED)


def _finite(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, (int, float)) and math.isfinite(value)
