"""The recorder of training: it changes nothing, leaves no hook, and records what a plain loop is known to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch.nn.modules import module
from torch.optim import optimizer

from sft_ref.harness.core.training_examples import examples_of
from sft_ref.harness.evidence.training import TrainingSteps
from sft_ref.harness.recorders.in_process.context import PROBES
from sft_ref.harness.recorders.in_process.reference import Reference
from sft_ref.harness.recorders.in_process.training_recorder import record_training
from sft_ref.harness.recorders.in_process.training_recorder.batches import BatchRecorder
from sft_ref.reference.data import split_rows
from sft_ref.reference.settings import Settings

sys.path.append(str(Path(__file__).parent / "helpers"))
from plain_loop import PlainLoop

SETTINGS = Settings(steps=4, batch_size=4, rank=4, alpha=8)
ROWS = split_rows("train")[:10]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> TrainingSteps:
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
    with pytest.raises(KeyboardInterrupt), record_training([], SETTINGS.steps):
        raise KeyboardInterrupt
    Reference().train(tmp_path / "adapter", ROWS, SETTINGS)
    assert not module._global_forward_pre_hooks
    assert not optimizer._global_optimizer_pre_hooks
    assert not optimizer._global_optimizer_post_hooks


def test_steps_are_those_of_the_settings(recorded: TrainingSteps) -> None:
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
