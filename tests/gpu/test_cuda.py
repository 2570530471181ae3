"""What must be true on CUDA as well: finite numbers, and the dtypes that were trained."""

from pathlib import Path

import pytest
import torch

import sft_ref
from sft_ref import Settings
from sft_ref.precision import POLICIES, count_dtypes
from sft_ref.training import Step

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
    from sft_ref.autocast import computing

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
