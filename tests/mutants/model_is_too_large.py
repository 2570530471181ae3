"""The adapter is for a base with more parameters than the task allows."""

from mutation import Mutant

MUTANT = Mutant(
    id="parameters",
    stage="artifact",
    checks=("ART-007", "ART-008"),
    fault="the fine-tune is meant for a model of 1.7 billion parameters",
    source="course rubric",
    patches={"sft_ref.harness.recorders.in_process.reference.DEFAULT_BASE": "HuggingFaceTB/SmolLM2-1.7B-Instruct"},
)
