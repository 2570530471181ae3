"""The time of a submission's training."""

import copy

import pytest

from sft_ref.harness.recorders.submission.agent import time_limit
from sft_ref.harness.recorders.submission.agent.time_limit import TimeLimit


def test_each_model_gets_the_least_number_of_steps_and_all_together_no_more_than_the_most_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = 0.0
    monkeypatch.setattr("time.thread_time", lambda: clock)
    limit = TimeLimit(10.0, lambda note: None)
    assert not limit.check()
    clock = 11.0
    for _ in range(2):
        limit.begin_model()
        for _ in range(time_limit.LEAST - 1):
            limit.after_step()
        assert not limit.check()
    over_time = copy.copy(limit)
    limit.after_step()
    assert limit.check()
    clock = time_limit.MOST + 1.0
    assert over_time.check()
