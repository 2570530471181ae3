"""A departure from the contract that loses no answer is told as that, and as nothing more."""

from pathlib import Path

import pytest

from sft_ref.harness.checks.in_process import CHECKS
from sft_ref.harness.checks.runner import plan
from sft_ref.harness.core.check import Level, Outcome
from sft_ref.harness.core.implementation import Answerer
from sft_ref.harness.grading.in_process.in_stages import run_in_stages
from sft_ref.harness.recorders.in_process.recorder import Recorder
from sft_ref.harness.recorders.in_process.reference import Reference, train_reference


class Halved(Reference):
    """The reference, its base loaded in fp16 under an fp32 adapter; peft casts between them."""

    def load(self, folder: Path) -> Answerer:
        answerer = super().load(folder)
        for name, tensor in answerer.model.named_parameters():
            if "lora_" not in name:
                tensor.data = tensor.data.half()
        return answerer


@pytest.mark.slow
def test_an_fp16_base_under_an_fp32_adapter_is_drift_and_no_cause_of_nan(tmp_path: Path) -> None:
    trained = train_reference(tmp_path)
    recorder = Recorder(Halved(), tmp_path / "own", trained=trained)
    results = list(run_in_stages(plan(CHECKS, claims_contract=True), recorder))
    failed = [each for each in results if each.outcome in (Outcome.FAIL, Outcome.ERROR)]
    assert {each.check.id for each in failed} >= {"LOD-005"}
    assert {(each.check.level, each.check.stage) for each in failed} == {(Level.CONTRACT, "load")}
    passed = {each.check.id for each in results if each.outcome in (Outcome.PASS, Outcome.ADVICE)}
    assert passed >= {"GEN-002", "PRS-001", "SCR-001", "SCR-002"}
