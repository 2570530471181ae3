"""What only CUDA can show: fp16 training, memory, TF32, a whole training; the rest is in tests/precision."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import sft_ref
from sft_ref import Settings
from sft_ref.reference import loss
from sft_ref.reference.guards.dtypes import count_dtypes
from sft_ref.reference.guards.progress import Step
from sft_ref.reference.precision import POLICIES

pytestmark = pytest.mark.gpu

SHORT = Settings(steps=25, batch_size=8)


@pytest.fixture(scope="module", params=[name for name in POLICIES if name != "fp16"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, list[Step]]:
    """The toy, trained on CUDA under each policy that trains there."""
    folder = tmp_path_factory.mktemp("cuda") / "adapter"
    return request.param, folder, sft_ref.train(folder, base="toy", policy=request.param, settings=SHORT)


def test_losses_are_finite_and_fall(trained: tuple[str, Path, list[Step]]) -> None:
    losses = torch.tensor([step.loss for step in trained[2]])
    assert losses.isfinite().all()
    assert losses[-5:].mean() < 0.7 * losses[:5].mean()


def test_what_is_loaded_has_the_dtypes_that_were_trained(trained: tuple[str, Path, list[Step]]) -> None:
    name, folder, _ = trained
    llm = sft_ref.load(folder)  # refuses where a dtype is not the recorded one
    found = count_dtypes(llm.model)
    assert llm.device.type == "cuda"
    assert set(found["base"].values()) == {POLICIES[name].storage}
    assert set(found["adapter"].values()) == {POLICIES[name].adapter}


@pytest.mark.parametrize("load_policy", POLICIES)
def test_logits_are_finite_under_every_load_policy(trained: tuple[str, Path, list[Step]], load_policy: str) -> None:
    from sft_ref.reference.models import computing

    llm = sft_ref.load(trained[1], policy=load_policy)
    prompts = [sft_ref.format_prompt(question) for question, _ in sft_ref.split_rows("validation")[:8]]
    batch = llm.tokenizer(prompts, padding=True, padding_side="left", return_tensors="pt").to(llm.device)
    with torch.inference_mode(), computing(llm.model, llm.policy):
        assert llm.model(**batch).logits.isfinite().all()


def test_the_toy_learns_to_answer_on_cuda(tmp_path: Path) -> None:
    sft_ref.train(tmp_path / "a", base="toy")
    score = sft_ref.test(tmp_path / "a")
    assert score.answer_rate >= 0.95
    assert score.accuracy >= 0.4


def test_an_overflow_in_fp16_training_costs_a_step_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervised_loss, calls = loss.supervised_loss, itertools.count(1)

    def overflow(logits: Any, labels: Any, **how: Any) -> Any:  # noqa: ANN401
        return supervised_loss(logits, labels, **how) * (torch.inf if next(calls) == 15 else 1)

    monkeypatch.setattr("sft_ref.reference.loss.supervised_loss", overflow)
    history = sft_ref.train(tmp_path / "a", base="toy", policy="fp16-mixed", settings=SHORT)
    assert not math.isfinite(history[14].loss)
    assert all(math.isfinite(step.loss) and math.isfinite(step.grad_norm) for step in history[15:])
    assert math.isfinite(sft_ref.test(tmp_path / "a").accuracy)


def test_memory_and_throughput_are_measured_and_16_bit_weights_take_half(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    from sft_ref.sweep.run import Plan, sweep

    plan = Plan("toy", train=("bf16-mixed",), settings=SHORT)
    cells = {cell.load: cell for cell in sweep(plan, tmp_path / "sweep")}
    for name, cell in cells.items():
        assert cell.tokens_per_second
        assert cell.peak_memory_mib
        assert cell.weights_mib
        record_property(f"{name} tokens/s", round(cell.tokens_per_second))
        record_property(f"{name} MiB", round(cell.peak_memory_mib, 1))
    assert (cells["bf16"].weights_mib or 0) < 0.55 * (cells["fp32"].weights_mib or 0)


def test_tf32_is_off_unless_the_policy_asks_for_it_whatever_the_program_has_set(
    trained: tuple[str, Path, list[Step]],
) -> None:
    from sft_ref.sweep.measure import teacher_force

    rows = sft_ref.split_rows("validation")[:8]
    due = teacher_force(sft_ref.load(trained[1], policy="fp32"), rows).logits
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        assert torch.equal(teacher_force(sft_ref.load(trained[1], policy="fp32"), rows).logits, due)
    finally:
        torch.set_float32_matmul_precision(before)
    if torch.cuda.get_device_capability() >= (8, 0):
        assert not torch.equal(teacher_force(sft_ref.load(trained[1], policy="fp32+tf32"), rows).logits, due)
