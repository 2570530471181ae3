"""One parametrization for CPU and CUDA: the same bodies run wherever there is such a device."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import sft_ref
from sft_ref import BaseLLM, Settings
from sft_ref.reference.guards.progress import Step
from sft_ref.reference.precision import POLICIES
from sft_ref.sweep.determinism import deterministic
from sft_ref.sweep.measure import TeacherForced, teacher_force

ROWS = sft_ref.split_rows("validation")[:16]

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
NEEDS_CUDA = pytest.mark.gpu

FLASH = [] if importlib.util.find_spec("flash_attn") is None else ["+flash"]
TRAIN_POLICIES = ["fp32", "bf16-mixed", "bf16", "fp32+sdpa", "bf16-mixed+sdpa"]
CUDA_TRAIN_POLICIES = [
    *TRAIN_POLICIES,
    "fp16-mixed",
    "fp16-mixed+sdpa",
    *(f"{name}{flash}" for name in ("bf16-mixed", "fp16-mixed") for flash in FLASH),
]
LOAD_POLICIES = [name + attention for name in POLICIES for attention in ("", "+sdpa")]


@dataclass(frozen=True)
class TrainedToy:
    """A short training of the toy.

    Attributes:
        policy: its name.
        folder: the adapter's.
        history: its steps.
        trained: the model in memory when training ended, on `ROWS`.
    """

    policy: str
    folder: Path
    history: list[Step]
    trained: TeacherForced


@pytest.fixture(scope="session", params=DEVICES)
def device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """The device that everything computes on, pinned."""
    chosen = torch.device(request.param)
    with pytest.MonkeyPatch.context() as patch, deterministic(chosen):
        for module in ("reference.sft", "reference.base_llm", "sweep.measure", "sweep.run"):
            patch.setattr(f"sft_ref.{module}.find_device", lambda: chosen)
        yield chosen


@pytest.fixture(scope="session")
def train_toy(tmp_path_factory: pytest.TempPathFactory, device: torch.device) -> Callable[[str], TrainedToy]:
    """Trains under a policy, once."""
    made: dict[str, TrainedToy] = {}

    def train(policy: str) -> TrainedToy:
        if policy not in made:
            folder = tmp_path_factory.mktemp("precision") / "adapter"
            endings: list[TeacherForced] = []
            settings = Settings(steps=10, batch_size=8)
            history = sft_ref.train(
                folder,
                base="toy",
                policy=policy,
                settings=settings,
                at_end=lambda llm: endings.append(teacher_force(llm, ROWS)),
            )
            made[policy] = TrainedToy(policy, folder, history, endings[0])
        return made[policy]

    return train


@pytest.fixture(
    scope="session",
    params=[
        *TRAIN_POLICIES,
        *(pytest.param(p, marks=NEEDS_CUDA) for p in CUDA_TRAIN_POLICIES if p not in TRAIN_POLICIES),
    ],
)
def trained(request: pytest.FixtureRequest, device: torch.device, train_toy: Callable[[str], TrainedToy]) -> TrainedToy:
    """The toy under each policy that the device trains in."""
    if "fp16" in request.param and device.type != "cuda":
        pytest.skip("fp16 training needs CUDA")
    return train_toy(request.param)


@pytest.fixture(scope="session")
def load_toy(device: torch.device) -> Callable[[Path, str], BaseLLM]:
    """Loads a folder under a policy, once; not to be changed."""
    made: dict[tuple[Path, str], BaseLLM] = {}

    def load(folder: Path, policy: str) -> BaseLLM:
        if (folder, policy) not in made:
            made[folder, policy] = sft_ref.load(folder, policy=policy)
        return made[folder, policy]

    return load
