"""The recorder of training: it changes nothing, leaves no hook, and records what a plain loop is known to do."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch.nn.modules import module
from torch.optim import optimizer

from sft_ref.harness.checks.shared.steps import (
    averages_of_gradients_decay_faster,
    neither_decay_nor_clipping_dominates,
    training_starts_from_the_base,
)
from sft_ref.harness.core import tolerance
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.training_examples import examples_of
from sft_ref.harness.evidence.in_process.task import PROBES
from sft_ref.harness.evidence.training import FirstLosses, RecordedTraining
from sft_ref.harness.instruments.losses import forward, token_losses
from sft_ref.harness.instruments.steps.optimizer_recorder import OptimizerRecorder
from sft_ref.harness.recorders.in_process.reference import Reference
from sft_ref.harness.recorders.in_process.training_recorder import record_training
from sft_ref.harness.recorders.in_process.training_recorder.batches import BatchRecorder
from sft_ref.reference.bases.find import TOY
from sft_ref.reference.data import split_rows
from sft_ref.reference.models import load_model
from sft_ref.reference.precision import POLICIES
from sft_ref.reference.settings import Settings
from sft_ref.reference.tokens import IGNORE_INDEX

sys.path.append(str(Path(__file__).parent / "helpers"))
from plain_loop import PlainLoop

SETTINGS = Settings(steps=4, batch_size=4, rank=4, alpha=8)
ROWS = split_rows("train")[:10]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> RecordedTraining:
    """A training of the reference: its second epoch begins with the fourth step."""
    with record_training(examples_of(Reference().training_batch(ROWS)), SETTINGS.steps) as result:
        Reference().train(tmp_path_factory.mktemp("recorded") / "adapter", ROWS, SETTINGS)
    found = result()
    assert found is not None
    return found


@pytest.mark.parametrize("implementation", [Reference(policy="fp32"), Reference(policy="bf16-mixed"), PlainLoop()])
def test_recording_does_not_change_training(implementation: Reference | PlainLoop, tmp_path: Path) -> None:
    alone = implementation.train(tmp_path / "alone", ROWS, SETTINGS)
    with record_training(examples_of(implementation.training_batch(ROWS)), SETTINGS.steps):
        recorded = implementation.train(tmp_path / "recorded", ROWS, SETTINGS)
    assert alone.losses == recorded.losses
    assert all(torch.equal(tensor, recorded.adapter[name]) for name, tensor in alone.adapter.items())


def test_no_hook_is_left_also_after_an_error(tmp_path: Path) -> None:
    hooks: tuple[Mapping[int, Any], ...] = (
        module._global_forward_pre_hooks,
        optimizer._global_optimizer_pre_hooks,
        optimizer._global_optimizer_post_hooks,
    )
    before = [{*each} for each in hooks]  # of other tests in this process
    with pytest.raises(KeyboardInterrupt), record_training([], SETTINGS.steps):
        raise KeyboardInterrupt
    Reference().train(tmp_path / "adapter", ROWS, SETTINGS)
    for each, own in zip(hooks, before, strict=True):
        assert {*each} <= own


def test_steps_are_those_of_the_settings(recorded: RecordedTraining) -> None:
    assert len(recorded.steps) == SETTINGS.steps
    assert [len(step.rows) for step in recorded.steps] == [4, 4, 2, 4]
    assert {row for step in recorded.steps[:3] for row in step.rows} == set(range(10))
    assert all(step.loss for step in recorded.steps)
    assert all(step.dtypes for step in (recorded.steps[0], recorded.steps[1], recorded.steps[3]))


def test_a_model_without_a_mask_is_called_with_known_rows() -> None:
    batch = Reference().training_batch(PROBES)
    recorder = BatchRecorder(examples_of(batch))
    recorder.before_forward(batch.input_ids, None, is_sampled=False)
    assert recorder.take()["rows"] == tuple(range(len(PROBES)))
    assert recorder.first is not None
    assert torch.equal(recorder.first.labels, batch.labels)


def test_without_an_optimizer_step_there_is_no_record() -> None:
    with record_training([], 1) as result:
        pass
    assert result() is None


class Noisy(PlainLoop):
    """Adds noise to the embeddings in training, as NEFTune does."""

    def _begin(self, model: PeftModel, _folder: Path) -> None:
        def add_noise(module: torch.nn.Module, _args: object, output: torch.Tensor) -> torch.Tensor:
            return output + torch.rand_like(output) if module.training else output

        model.get_input_embeddings().register_forward_hook(add_noise)


class Rounded(PlainLoop):
    """Trains on a base whose Linear weights have 255 levels a row."""

    def _begin(self, model: PeftModel, _folder: Path) -> None:
        for name, weight in model.named_parameters():
            if "proj.base_layer" in name:
                step = weight.data.abs().amax(1, keepdim=True) / 127
                weight.data = (weight.data / step).round() * step


def record_plain(implementation: PlainLoop, folder: Path) -> tuple[RecordedTraining, FirstLosses]:
    """A training, and the losses of its first batch."""
    with record_training(examples_of(implementation.training_batch(ROWS)), SETTINGS.steps) as result:
        implementation.train(folder / "adapter", ROWS, SETTINGS)
    found = result()
    assert found is not None
    assert found.first_batch is not None
    batch = found.first_batch
    losses = token_losses(forward(load_model(TOY, POLICIES["fp32"]), batch), batch.labels)
    assert found.first_losses is not None
    return found, FirstLosses(found.first_losses, losses[batch.labels[:, 1:] != IGNORE_INDEX], frozenset())


def test_the_first_loss_is_that_of_the_base_without_the_noise_of_training(tmp_path: Path) -> None:
    found, first = record_plain(Noisy(), tmp_path)
    assert found.steps[0].loss is not None
    assert abs(found.steps[0].loss.mean - first.expected.mean()) > tolerance.LOSS  # the noise is there
    training_starts_from_the_base.run(first)


def test_a_base_in_eight_bits_shows_at_the_first_step(tmp_path: Path) -> None:
    _, first = record_plain(Rounded(), tmp_path)
    assert abs(first.observed.mean() - first.expected.mean()) < tolerance.LOSS
    with pytest.raises(Failure, match="losses at the first step differ"):
        training_starts_from_the_base.run(first)


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        (lambda expected: expected * 1.005, False),
        (lambda expected: torch.cat([expected[:-1], expected[-1:] + 6]), False),  # one token, turned by rounding
        (lambda expected: expected * 1.05, True),
        (lambda expected: expected.flip(0), True),
    ],
    ids=["rounding", "one token", "a twentieth", "other tokens"],
)
def test_in_16_bits_losses_of_most_tokens_have_to_agree(
    change: Callable[[torch.Tensor], torch.Tensor], *, fails: bool
) -> None:
    expected = torch.linspace(8, 12, 40)
    first = FirstLosses(change(expected), expected, frozenset({"float32", "bfloat16"}))
    with pytest.raises(Failure, match="at a fifth of the tokens") if fails else contextlib.nullcontext():
        training_starts_from_the_base.run(first)


def test_clipping_dominates_where_it_leaves_little_and_not_where_gradients_are_large(
    recorded: RecordedTraining,
) -> None:
    def clipped(share: float, length: float) -> RecordedTraining:
        steps = tuple(replace(step, clipping=share, clipped=length) for step in recorded.steps)
        return replace(recorded, steps=steps)

    neither_decay_nor_clipping_dominates.run(clipped(0.005, 1.0))
    neither_decay_nor_clipping_dominates.run(clipped(1.0, 1e-4))  # the loss is scaled, not clipped
    with pytest.raises(Failure, match="of the gradient"):
        neither_decay_nor_clipping_dominates.run(clipped(0.005, 1e-4))


@pytest.mark.parametrize(
    ("betas", "fails"),
    [
        ([(0.9, 0.999)], False),
        ([(0.8, 0.9)], False),
        ([(0.9, 0.99)], False),  # Lion
        ([(0.999, 0.9)], True),
        ([(0.9, 0.999), (0.999, 0.9)], True),  # one group of two
        ([(0.9, float("nan"))], False),
        ([(1e300, 1.0)], True),
        ([(0.0, -1.0)], True),
    ],
)
def test_betas_that_change_places_are_reported(
    betas: list[tuple[float, float]], fails: bool, recorded: RecordedTraining
) -> None:
    steps = tuple(replace(step, betas=tuple(betas)) for step in recorded.steps)
    with pytest.raises(Failure, match="of the median step") if fails else contextlib.nullcontext():
        averages_of_gradients_decay_faster.run(replace(recorded, steps=steps))


def test_betas_may_be_wrong_at_half_of_the_steps_and_may_be_missing(recorded: RecordedTraining) -> None:
    averages_of_gradients_decay_faster.run(recorded)
    assert {step.betas for step in recorded.steps} == {((0.9, 0.999),)}
    early = tuple(replace(step, betas=((0.999, 0.9),)) for step in recorded.steps[:2])
    averages_of_gradients_decay_faster.run(replace(recorded, steps=early + recorded.steps[2:]))
    with pytest.raises(Unavailable, match="has two betas"):
        averages_of_gradients_decay_faster.run(
            replace(recorded, steps=tuple(replace(step, betas=()) for step in recorded.steps))
        )


@pytest.mark.parametrize(
    ("betas", "recorded_betas"),
    [
        ((0.9, 0.99), ((0.9, 0.99),)),
        ([0.9, 0.99], ((0.9, 0.99),)),
        (None, ()),
        ("ab", ()),
        ((0.9,), ()),
        ((0.9, 0.99, 0.999), ()),
        ((0.9, 0.0), ()),  # SGD of bitsandbytes, whose second is the dampening
        ((0.9, float("nan")), ()),
        (("x", 0.9), ()),
    ],
)
def test_betas_are_two_numbers_between_0_and_1(betas: object, recorded_betas: object) -> None:
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.param_groups[0]["betas"] = betas
    recorder = OptimizerRecorder(model)
    model(torch.ones(1, 2)).sum().backward()
    recorder.before_step(optimizer)
    recorder.after_step(optimizer)
    assert recorder.take()["betas"] == recorded_betas
