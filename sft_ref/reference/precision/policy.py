"""Policies: the one place that decides a dtype, and says why.

A policy names the dtypes of *storage* (base weights), *adapter* and *compute* (autocast). The default is bf16-mixed
where the device computes bf16 well, else fp32; never fp16. Dtypes are written as torch names them ("float32"), so that
this file can be read without torch.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """A named precision. `compute` is the autocast dtype; None computes in the dtypes that are stored.

    `attention` is the backend as transformers names it. `matmul` is what torch may multiply float32 matrices in
    (`torch.set_float32_matmul_precision`): "highest" is float32, "high" allows TF32.
    """

    name: str
    storage: str
    adapter: str
    compute: str | None
    why: str
    attention: str = "eager"  # on a CPU and texts this short, torch's fused kernel takes longer backward
    matmul: str = "highest"  # else float32 is 10 bits of a product on one device and 23 on the next

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
