"""Times our own jobs against a yardstick of plain computations, timed in turn with them: `nox -s bench`.

The stored and compared figures (`baseline.json`) are ratios: seconds of the job divided by seconds of the yardstick, so
that another machine, or other load, changes both. `compare.py` decides whether a ratio has grown beyond its noise.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

import sft_ref
from sft_ref import BaseLLM
from sft_ref.reference import tokens, training
from sft_ref.reference.adapter import add_adapter
from sft_ref.reference.precision import find_device, find_policy

ROUNDS = 7
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
"""A process has one of them: conftest.py hides CUDA, except with -m gpu."""

PROMPTS = [sft_ref.format_prompt(question) for question, _ in sft_ref.split_rows("validation")[:200]]


def measure(benchmark: BenchmarkFixture, job: Callable[[], object], rounds: int = ROUNDS) -> None:
    """Times job and yardstick in turn; adds the ratios to pytest-benchmark's JSON, next to its own seconds."""
    job()  # warm-up
    yard: list[float] = []
    timer: Any = benchmark  # has no type annotations
    timer.pedantic(job, setup=lambda: yard.append(yardstick()), rounds=rounds)
    seconds = timer.stats.stats.data
    benchmark.extra_info["ratios"] = [a / b for a, b in zip(seconds, yard, strict=True)]


def yardstick() -> float:
    """Times a mix of the work of all jobs: matrix products, elementwise work, and Python; about 0.3 s on a CPU."""
    began = time.perf_counter()
    a = torch.ones(768, 768, device=find_device())
    for _ in range(20):
        a = (a @ a).mul_(1 / 768).add_(0.0)
    for _ in itertools.repeat(None, 1_000_000):
        pass
    a.sum().item()  # a GPU has finished
    return time.perf_counter() - began


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("policy", ["fp32", "bf16-mixed"])
def test_generation(benchmark: BenchmarkFixture, toy_adapter: Path, policy: str, device: str) -> None:
    llm = sft_ref.load(toy_adapter, policy=policy)
    assert llm.device.type == device
    measure(benchmark, lambda: llm.batched_generate(PROMPTS))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("policy", ["fp32", "bf16-mixed"])
def test_twenty_training_steps(benchmark: BenchmarkFixture, policy: str, device: str) -> None:
    llm = BaseLLM("toy", policy=find_policy(policy), device=device)
    model = add_adapter(llm.model, llm.policy, rank=8, alpha=32)
    examples = [tokens.tokenize_example(llm.tokenizer, *row) for row in sft_ref.split_rows("train")]

    def train() -> None:
        with tempfile.TemporaryDirectory() as folder:
            training.fit(
                model,
                examples,
                pad_token_id=llm.tokenizer.pad_token_id,
                policy=llm.policy,
                settings=sft_ref.Settings(steps=20),
                checkpoints=Path(folder),
                report=lambda step: None,
            )

    measure(benchmark, train)


def test_start_of_a_model(benchmark: BenchmarkFixture, toy_adapter: Path) -> None:
    measure(benchmark, lambda: sft_ref.load(toy_adapter))


@pytest.mark.parametrize(
    "command",
    [
        "import sft_ref; sft_ref.BaseLLM('toy').generate('What is 3 h in minutes? <answer>')",
        "import sft_ref.cli.main; raise SystemExit(sft_ref.cli.main.main(['grade', 'reference']))",
        "from scoreboard import main; raise SystemExit(main(['GEN-echo', 'S2']))",
    ],
    ids=["cold start to the first token", "verdict", "a mutant run"],
)
def test_a_process_of_its_own(benchmark: BenchmarkFixture, command: str) -> None:
    env = {**os.environ, "PYTHONPATH": "tests/helpers"}

    def run() -> None:
        done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=False, env=env)
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]

    measure(benchmark, run, rounds=4)
