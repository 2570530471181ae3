"""Precision policies: the only place that decides a dtype, with the reason.

A policy names the dtypes of *storage* (base weights), *adapter* and *compute* (autocast). The default is bf16-mixed if
the device computes bf16 well, else fp32; never fp16. Dtypes are strings with torch's names ("float32"), so that this
module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """A named precision. `compute` is the autocast dtype; None computes in the stored dtypes.

    `attention` is the attention backend as transformers names it. `matmul` is torch's precision of float32 matrix
    products (`torch.set_float32_matmul_precision`): "highest" is float32, "high" allows TF32.
    """

    name: str
    storage: str
    adapter: str
    compute: str | None
    why: str
    attention: str = "eager"  # torch's fused kernel has a slower backward pass on a CPU for texts this short
    matmul: str = "highest"  # else float32 products have 10 bits on one device and 23 on another

    def __str__(self) -> str:
        compute = f", {self.compute} autocast" if self.compute else ", no autocast"
        return f"{self.name} ({self.storage} base, {self.adapter} adapter{compute})"

    @property
    def computes(self) -> str:
        """The dtype that Linear layers multiply in."""
        return self.compute or self.storage


POLICIES: dict[str, Policy] = {
    policy.name: policy
    for policy in (
        Policy("fp32", "float32", "float32", None, "the most exact; twice the time of bf16 where bf16 is native"),
        Policy("bf16-mixed", "float32", "float32", "bfloat16", "the range of fp32, the speed of 16 bits"),
        Policy("fp16-mixed", "float32", "float32", "float16", "for GPUs without bf16; its gradients need a scaler"),
        Policy("bf16", "bfloat16", "bfloat16", None, "half the memory; weights keep 8 significant bits"),
        Policy("fp16", "float16", "float16", None, "half the memory; activations over 65504 become infinite"),
    )
}
