"""Every check on every trusted implementation that it binds, under every policy that this device can train in.

An id says what ran where: `LOD-001-bf16-cpu` is the reference, `LOD-001-plain_loop-fp32-cpu` the second implementation.
"""

from pathlib import Path

import pytest
from mutation import find

from sft_ref.harness.checks.in_process import CHECKS
from sft_ref.harness.checks.runner import plan, run
from sft_ref.harness.core.check import Check, Outcome
from sft_ref.harness.core.implementation import Implementation
from sft_ref.harness.recorders.in_process.recorder import Recorder
from sft_ref.harness.recorders.in_process.reference import Reference, reference_run_of, train_reference
from sft_ref.reference.precision import find_device

CONTROLS = {control.id: control for control in find(Path(__file__).parents[1] / "controls", "CONTROL")}
DEVICE = find_device().type
POLICIES = ("fp32", "bf16-mixed", "bf16") if DEVICE == "cpu" else ("fp32", "bf16-mixed", "bf16", "fp16-mixed")
TRUSTED: dict[str, Implementation] = {
    **{f"{policy}-{DEVICE}": Reference(policy=policy) for policy in POLICIES},
    "plain_loop-fp32-cpu": CONTROLS["plain_loop"].make(),  # it knows no other device
}


@pytest.fixture(scope="module")
def recorders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recorder]:
    reference_run = reference_run_of(train_reference(tmp_path_factory.mktemp("reference_run")))
    return {
        name: Recorder(each, tmp_path_factory.mktemp(name), reference_run=reference_run)
        for name, each in TRUSTED.items()
    }


@pytest.mark.parametrize(
    ("name", "each"),
    [
        pytest.param(name, each, id=f"{each.id}-{name}", marks=[] if name.startswith("fp32") else [pytest.mark.slow])
        for name, implementation in TRUSTED.items()
        for each in plan(CHECKS, claims_contract=implementation.claims_contract)
    ],
)
def test_a_trusted_implementation_passes(name: str, each: Check, recorders: dict[str, Recorder]) -> None:
    [result] = run([each], recorders[name].record(each.needs))
    seen = f"{result.observed}, allowed {result.expected}, case {result.example}"
    assert result.outcome in (Outcome.PASS, Outcome.ADVICE, Outcome.SKIPPED), seen
