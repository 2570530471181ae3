"""Policies: which is chosen, which is refused, and what a record keeps."""

import dataclasses

import pytest
import torch
from torch import nn

from sft_ref.errors import AdapterError, PrecisionError
from sft_ref.reference.guards.dtypes import count_dtypes, summarize_dtypes
from sft_ref.reference.models import computing
from sft_ref.reference.precision import (
    POLICIES,
    VARIATIONS,
    check_can_compute,
    check_can_train,
    choose_policy,
    default_policy,
    find_policy,
)
from sft_ref.reference.record import Record

CPU = torch.device("cpu")
RECORD = Record("toy", "fp32", {"base": {"w": "float32"}}, {"base": "ab"}, {"torch": "2"}, {"seed": 0})


@pytest.mark.parametrize("dtype", [torch.float32, "float32", torch.bfloat16, "bfloat16", torch.float16, "float16"])
def test_torch_dtype_decides_the_storage(dtype: torch.dtype | str) -> None:
    policy = choose_policy(CPU, torch_dtype=dtype)
    assert policy.storage == policy.adapter == str(dtype).removeprefix("torch.")
    assert policy.compute is None


def test_training_starts_from_fp32_weights() -> None:
    for device in (CPU, torch.device("cuda"), torch.device("mps")):
        if device.type != "cuda" or torch.cuda.is_available():
            policy = choose_policy(device, use_fp32_for_training=True)
            assert (policy.storage, policy.adapter) == ("float32", "float32")
            assert policy.compute != "float16"


def test_the_default_follows_what_the_device_computes_well(monkeypatch: pytest.MonkeyPatch) -> None:
    for native, name, inference in ((True, "bf16-mixed", "bf16"), (False, "fp32", "fp32")):
        place = "sft_ref.reference.precision.choice.computes_bf16_well"
        monkeypatch.setattr(place, lambda device, native=native: native)
        assert default_policy(CPU).name == name
        assert choose_policy(CPU).name == inference


def test_keywords_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(PrecisionError, match="contradicts"):
        choose_policy(CPU, use_fp32_for_training=True, torch_dtype=torch.float16)
    assert choose_policy(CPU, use_fp32_for_training=True, torch_dtype=torch.float32).storage == "float32"


@pytest.mark.parametrize("dtype", [torch.float64, "int8", "auto"])
def test_other_dtypes_are_refused_by_name(dtype: torch.dtype | str) -> None:
    with pytest.raises(PrecisionError, match="float32, bfloat16 or float16"):
        choose_policy(CPU, torch_dtype=dtype)


def test_an_unknown_policy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PrecisionError, match=r"unknown policy 'fp8'; choose one of fp32, bf16-mixed"):
        find_policy("fp8")


@pytest.mark.parametrize("name", POLICIES)
def test_fp16_does_not_train_on_a_cpu(name: str) -> None:
    if "fp16" in name:
        with pytest.raises(PrecisionError, match="fp16 training needs CUDA"):
            check_can_train(POLICIES[name], CPU)
    else:
        check_can_train(POLICIES[name], CPU)


def test_a_policy_takes_variations_and_a_name_that_finds_it_again() -> None:
    policy = find_policy("fp32+sdpa+tf32")
    assert (policy.storage, policy.attention, policy.matmul) == ("float32", "sdpa", "high")
    assert find_policy(policy.name) == policy
    assert "torch's fused kernels" in policy.why
    for plain in POLICIES.values():
        assert (plain.attention, plain.matmul) == ("eager", "highest")
        assert find_policy(plain.name) == plain
    assert all(variation.why for variation in VARIATIONS.values())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fp32+xformers", "unknown variation 'xformers'"),
        ("fp32+", "unknown variation ''"),
        ("fp32+eager", r"\+eager changes nothing"),
        ("bf16+tf32", "is for float32 products, and bf16 computes in bfloat16"),
        ("bf16-mixed+tf32", "is for float32 products"),
        ("fp32+flash", "computes in 16 bits only, and fp32 in float32"),
    ],
)
def test_a_variation_that_makes_no_sense_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(PrecisionError, match=reason):
        find_policy(name)


def test_what_the_device_or_the_installation_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PrecisionError, match="TF32 needs CUDA"):
        check_can_compute(find_policy("fp32+tf32"), CPU)
    with pytest.raises(PrecisionError, match="flash attention needs CUDA"):
        check_can_compute(find_policy("bf16+flash"), CPU)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PrecisionError, match="flash-attn is not installed"):
        check_can_compute(find_policy("bf16+flash"), torch.device("cuda"))
    check_can_compute(find_policy("fp16+sdpa"), CPU)  # to answer, it can


def test_float32_products_are_what_the_policy_says_whatever_the_program_has_set() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with computing(nn.Linear(1, 1), POLICIES["fp32"]):
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_dtypes_are_counted_by_kind_and_integers_are_not_buffers() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2).to(torch.bfloat16))
    found = count_dtypes(model)
    assert found["base"] == {"0.weight": "float32", "0.bias": "float32", "1.weight": "bfloat16", "1.bias": "bfloat16"}
    assert found["buffer"] == {"1.running_mean": "bfloat16", "1.running_var": "bfloat16"}
    assert summarize_dtypes(found) == "base bfloat16 ×2, base float32 ×2, buffer bfloat16 ×2"


def test_a_record_comes_back_as_it_was_written() -> None:
    assert Record.from_json(RECORD.to_json(), where="here") == RECORD


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"base": 1}', dataclasses.replace(RECORD, policy="fp8").to_json(), RECORD.to_json()[:40],
     RECORD.to_json().replace('"w": "float32"', '"w": []'), RECORD.to_json().replace('{\n   "w": "float32"\n  }', "7"),
     RECORD.to_json().replace('"computed": {}', '"computed": {"a": 7}')],
)  # fmt: skip
def test_what_is_no_record_is_named(text: str) -> None:
    with pytest.raises(AdapterError, match=r"^here: is not a record"):
        Record.from_json(text, where="here")
