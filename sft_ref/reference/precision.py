"""The one place that decides a dtype, and says why; and the record that keeps the decision beside the adapter.

A policy names the dtypes of *storage* (base weights), *adapter* and *compute* (autocast). Dtypes are written as torch
names them ("float32"), so that this file can be read, and its names listed, without torch.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from typing import TYPE_CHECKING, Any

from sft_ref.errors import AdapterError, PrecisionError
from sft_ref.io.reading import UnreadableError, json_of

from .prompt import format_example

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

Dtypes = dict[str, dict[str, str]]
"""Kind of tensor ("base", "adapter", "buffer") -> name -> dtype."""


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
        Policy("fp32", "float32", "float32", None, "the yardstick; twice the time of bf16 where bf16 is native"),
        Policy("bf16-mixed", "float32", "float32", "bfloat16", "the range of fp32, the speed of 16 bits"),
        Policy("fp16-mixed", "float32", "float32", "float16", "for GPUs without bf16; its gradients need a scaler"),
        Policy("bf16", "bfloat16", "bfloat16", None, "half the memory; weights keep 8 significant bits"),
        Policy("fp16", "float16", "float16", None, "half the memory; activations over 65504 become infinite"),
    )
}


@dataclass(frozen=True)
class Variation:
    """One setting of a policy that is not a dtype, by the word that a policy's name takes behind a plus sign."""

    field: str
    value: str
    why: str


VARIATIONS: dict[str, Variation] = {
    "eager": Variation("attention", "eager", "attention as plain products and a softmax in float32; the default"),
    "sdpa": Variation("attention", "sdpa", "torch's fused kernels: less memory for long texts, other bits by device"),
    "flash": Variation("attention", "flash_attention_2", "the package flash-attn: 16 bits and CUDA only"),
    "tf32": Variation(
        "matmul", "high", "float32 products with 10 bits on CUDA's tensor cores: faster, and no yardstick"
    ),
}


def find_policy(name: str) -> Policy:
    """The policy of that name, with the variations that follow it: ``fp32``, ``bf16-mixed+sdpa``, ``fp32+sdpa+tf32``.

    Raises:
        PrecisionError: there is none, or the variation makes no sense with it.
    """
    plain, *words = name.split("+")
    if plain not in POLICIES:
        raise PrecisionError(f"unknown policy {name!r}; choose one of {', '.join(POLICIES)}")
    policy = POLICIES[plain]
    for word in words:
        if word not in VARIATIONS:
            raise PrecisionError(f"unknown variation {word!r} of policy {name!r}; choose of {', '.join(VARIATIONS)}")
        changed = VARIATIONS[word]
        if getattr(policy, changed.field) == changed.value:
            raise PrecisionError(f"policy {name!r}: +{word} changes nothing; leave it out")
        policy = replace(policy, **{changed.field: changed.value, "why": f"{policy.why}; {word}: {changed.why}"})
    if policy.matmul != "highest" and policy.computes != "float32":
        raise PrecisionError(
            f"policy {name!r}: +tf32 is for float32 products, and {plain} computes in {policy.computes}"
        )
    if policy.attention == "flash_attention_2" and policy.computes == "float32":
        raise PrecisionError(f"policy {name!r}: +flash computes in 16 bits only, and {plain} in float32; use +sdpa")
    return replace(policy, name=name)


def check_can_compute(policy: Policy, device: torch.device) -> None:
    """Refuses what the device, or what is installed, cannot compute in at all, be it to train or to answer.

    Raises:
        PrecisionError: TF32 or flash attention without CUDA, flash attention without its package.
    """
    if policy.matmul != "highest" and device.type != "cuda":
        raise PrecisionError(f"policy {policy.name}: TF32 needs CUDA, and this is {device.type}; leave +tf32 out")
    if policy.attention == "flash_attention_2":
        if device.type != "cuda":
            raise PrecisionError(
                f"policy {policy.name}: flash attention needs CUDA, and this is {device.type}; use +sdpa"
            )
        if importlib.util.find_spec("flash_attn") is None:
            raise PrecisionError(f"policy {policy.name}: the package flash-attn is not installed; use +sdpa")


def computes_bf16_well(device: torch.device) -> bool:
    """Whether bf16 products are native there, rather than emulated or slow."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # get_capabilities came with torch 2.12; the private name before it asks for the older half of the same
        ask = getattr(torch.cpu, "get_capabilities", None)
        found = ask() if ask else {"avx512_bf16": torch.cpu._is_avx512_bf16_supported()}  # noqa: SLF001  # type: ignore[no-untyped-call]
        return bool(found.get("amx_bf16") or found.get("avx512_bf16") or found.get("bf16"))
    return False


def default_policy(device: torch.device) -> Policy:
    """fp32 weights with bf16 autocast where the device computes bf16 well, else fp32 throughout; never fp16."""
    return POLICIES["bf16-mixed" if computes_bf16_well(device) else "fp32"]


def choose_policy(
    device: torch.device, *, use_fp32_for_training: bool = False, torch_dtype: torch.dtype | str | None = None
) -> Policy:
    """The policy that the two keywords of the course ask for.

    `torch_dtype` stores and computes in that dtype. `use_fp32_for_training` asks for what training starts from: fp32
    weights and the device's default computing. With neither, the base is for inference alone, and 16 bits serve where
    bf16 is native.

    Raises:
        PrecisionError: they contradict each other, or the dtype is none of float32, bfloat16, float16.
    """
    if torch_dtype is None:
        if use_fp32_for_training:
            return default_policy(device)
        return POLICIES["bf16" if computes_bf16_well(device) else "fp32"]
    stored = str(torch_dtype).removeprefix("torch.")
    if use_fp32_for_training:
        if stored != "float32":
            raise PrecisionError(f"torch_dtype={stored} contradicts use_fp32_for_training=True; give one of them")
        return default_policy(device)
    for policy in POLICIES.values():
        if policy.storage == stored and policy.compute is None:
            return policy
    raise PrecisionError(f"torch_dtype={torch_dtype} is not supported; give float32, bfloat16 or float16")


def check_can_train(policy: Policy, device: torch.device) -> None:
    """Refuses what the device cannot train in.

    Raises:
        PrecisionError: fp16 on a device that has no fast fp16 and no gradient scaler for it, fp16 weights under a
            gradient scaler, or what `check_can_compute` refuses.
    """
    check_can_compute(policy, device)
    if policy.adapter == "float16" and policy.compute == "float16":
        raise PrecisionError(
            f"policy {policy.name} cannot train: a gradient scaler divides gradients in float32, and refuses those of a"
            " float16 adapter; keep the adapter in float32, as fp16-mixed does"
        )
    if "float16" in (policy.storage, policy.compute) and device.type != "cuda":
        raise PrecisionError(
            f"policy {policy.name} cannot train on {device.type}: fp16 training needs CUDA;"
            f" use --policy {default_policy(device).name}"
        )


def count_dtypes(model: torch.nn.Module) -> Dtypes:
    """The dtype of every parameter and float buffer of a model, with peft's wrapping taken out of the names."""
    found: Dtypes = {"base": {}, "adapter": {}, "buffer": {}}
    for name, tensor in model.named_parameters():
        found["adapter" if "lora_" in name else "base"][_plain(name)] = _dtype(tensor)
    for name, buffer in model.named_buffers():
        if buffer.is_floating_point():
            found["buffer"][_plain(name)] = _dtype(buffer)
    return found


def summarize_dtypes(dtypes: Dtypes) -> str:
    """One line: ``base float32 ×272, adapter float32 ×420, buffer float32 ×1``."""
    parts = []
    for kind in ("base", "adapter", "buffer"):
        found = Counter(dtypes.get(kind, {}).values())
        parts += [f"{kind} {dtype} ×{count}" for dtype, count in sorted(found.items())]
    return ", ".join(parts)


def _plain(name: str) -> str:
    return name.removeprefix("base_model.model.").replace(".base_layer.", ".").replace(".default.", ".")


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


@dataclass(frozen=True)
class Record:
    """What `train` writes beside the adapter, so that `load` can tell whether it has the same thing in hand.

    Attributes:
        base: the base as it was named.
        policy: name of the policy.
        dtypes: of every tensor and float buffer at the end of training.
        fingerprints: SHA-256 of the base's files, the adapter's tensors, the tokenizer's splitting, the prompt format.
        versions: of Python packages.
        settings: of training, the seed among them.
        computed: dtypes that each class of module put out in training, as `tracing` finds them; empty where
            the training was not watched.
    """

    base: str
    policy: str
    dtypes: Dtypes
    fingerprints: dict[str, str]
    versions: dict[str, str]
    settings: dict[str, Any]
    computed: dict[str, list[str]] = field(default_factory=dict)

    def to_json(self) -> str:
        """The record as text; `from_json` reads it back."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str) -> Record:
        """Reads a record.

        Raises:
            AdapterError: the text is no record, or one of a policy that this version does not know.
        """
        try:
            record = json_of(text, cls)
            find_policy(record.policy)
        except (UnreadableError, PrecisionError) as error:
            raise AdapterError(f"{where}: is not a record of sft_ref ({error}); train again, or delete it") from error
        return record


def library_versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    return {name: metadata.version(name) for name in ("sft_ref", "torch", "transformers", "peft", "tokenizers")}


def digest(value: object) -> str:
    """SHA-256 of a value that JSON can hold, as 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def fingerprint_prompt() -> str:
    """Changes when the training text would."""
    return digest([format_example(" How many? ", value) for value in (-0.5, 6.0, 1 / 3, 1e16)])


def fingerprint_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """Changes when a text of this task would be split otherwise, or end or be padded with another token."""
    example = format_example("How many MB are there per 6 G, or 7.5 km/h in 90 feet?", -1234567890.125)
    texts = [*example.values(), "".join(example.values()), "1e+16 <answer>NaN</answer>\n", " Ω ½"]
    special = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id]
    return digest([[tokenizer(text)["input_ids"] for text in texts], special, len(tokenizer)])
