"""A policy holds, or is refused, whatever the program around has set in torch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import sft_ref
from sft_ref import BaseLLM, Settings
from sft_ref.errors import PrecisionError
from sft_ref.reference.guards.adapter_files import read_tensors
from sft_ref.reference.models import computing

SHORT = Settings(steps=4, batch_size=4)
PROMPTS = [sft_ref.format_prompt("How many gram are there per 6 kg?")]
POLICIES = ("fp32", "bf16-mixed")


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(mode=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=False)


@contextlib.contextmanager
def matmul_precision(name: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def backend_precision() -> Iterator[None]:
    mkldnn = getattr(torch.backends, "mkldnn", None)
    if not hasattr(getattr(mkldnn, "matmul", None), "fp32_precision"):
        pytest.skip("this torch has one precision for all backends")
    before = mkldnn.matmul.fp32_precision  # type: ignore[union-attr]
    mkldnn.matmul.fp32_precision = "bf16"  # type: ignore[union-attr]
    try:
        yield
    finally:
        mkldnn.matmul.fp32_precision = before  # type: ignore[union-attr]


AROUND: dict[str, Callable[[], contextlib.AbstractContextManager[object]]] = {
    "autocast to bfloat16": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "autocast to float16": lambda: torch.autocast("cpu", dtype=torch.float16),
    "inference mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "deterministic algorithms": deterministic,
    "low matmul precision": lambda: matmul_precision("medium"),
}
REFUSED: dict[str, Callable[[], contextlib.AbstractContextManager[object]]] = {
    "default dtype is torch.bfloat16": lambda: default_dtype(torch.bfloat16),
    "default dtype is torch.float64": lambda: default_dtype(torch.float64),
    "default device is meta": lambda: torch.device("meta"),
    "a float32 precision for one backend": backend_precision,
}


def whole_job(folder: Path, policy: str) -> tuple[dict[str, torch.Tensor], list[float], torch.Tensor, list[str]]:
    """Adapter, losses, logits and texts of a training and what is loaded from it."""
    history = sft_ref.train(folder, base="toy", policy=policy, settings=SHORT)
    llm = sft_ref.load(folder)
    texts = llm.batched_generate(PROMPTS)
    batch = llm.tokenizer(PROMPTS, return_tensors="pt")
    with computing(llm.model, llm.policy):
        logits = llm.model(**batch).logits.detach().float()
    return read_tensors(folder), [step.loss for step in history], logits, texts


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[object, ...]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    return {policy: whole_job(folder / policy, policy) for policy in POLICIES}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("around", AROUND)
def test_what_is_open_around_changes_no_bit(
    around: str, policy: str, tmp_path: Path, undisturbed: dict[str, tuple[object, ...]]
) -> None:
    with AROUND[around]():
        adapter, losses, logits, texts = whole_job(tmp_path / "a", policy)
    due_adapter, due_losses, due_logits, due_texts = undisturbed[policy]
    assert losses == due_losses
    assert all(torch.equal(adapter[name], due) for name, due in due_adapter.items())  # type: ignore[attr-defined]
    assert torch.equal(logits, due_logits)  # type: ignore[arg-type]
    assert texts == due_texts


def test_a_model_made_in_inference_mode_can_be_trained_afterwards() -> None:
    with torch.inference_mode():
        llm = BaseLLM("toy", torch_dtype="float32")
    assert not any(parameter.is_inference() for parameter in llm.model.parameters())


@pytest.mark.parametrize("message", REFUSED)
def test_global_defaults_that_no_policy_reaches_are_refused_in_one_line(
    message: str, tmp_path: Path, toy_adapter: Path, toy_llm: BaseLLM
) -> None:
    calls: tuple[Callable[[], object], ...] = (
        lambda: sft_ref.train(tmp_path / "a", base="toy", settings=SHORT),
        lambda: sft_ref.load(toy_adapter),
        lambda: BaseLLM("toy"),
        lambda: toy_llm.batched_generate(PROMPTS),
    )
    for call in calls:
        with REFUSED[message](), pytest.raises(PrecisionError, match=message) as error:
            call()
        assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
