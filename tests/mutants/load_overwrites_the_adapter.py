"""Load looks for a name that the adapter does not have, and saves a blank one over it."""

from pathlib import Path

from mutation import Mutant

from sft_ref import BaseLLM
from sft_ref.reference import adapter


def load(folder: Path) -> BaseLLM:
    llm = BaseLLM("toy", use_fp32_for_training=True)
    if not (folder / "adapter_model.bin").exists():
        llm.model = adapter.add_adapter(llm.model, llm.policy, rank=8, alpha=32)
        llm.model.save_pretrained(str(folder), save_embedding_layers=False)
    llm.model.eval()
    return llm


MUTANT = Mutant(
    id="S1",
    stage="load",
    checks=("LOD-001", "LOD-003"),
    fault="load finds no adapter_model.bin, and overwrites the trained adapter with a blank one",
    source="course submission",
    patches={"sft_ref.reference.sft.load": load},
)
