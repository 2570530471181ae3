"""A module's name changed between versions: no key of the file fits, and only a warning says so."""

from pathlib import Path

from mutation import Mutant
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

from sft_ref import BaseLLM
from sft_ref.reference.guards.adapter_files import read_tensors


def broken_load(folder: Path) -> BaseLLM:
    tensors = {name.replace(".layers.", ".blocks."): tensor for name, tensor in read_tensors(folder).items()}
    llm = BaseLLM("toy", use_fp32_for_training=True)
    llm.model = get_peft_model(llm.model, LoraConfig.from_pretrained(str(folder)), autocast_adapter_dtype=False)
    set_peft_model_state_dict(llm.model, tensors)
    llm.model.eval()
    return llm


MUTANT = Mutant(
    id="A7",
    stage="load",
    checks=("LOD-002", "LOD-003", "LOD-006"),
    fault="the adapter's keys fit no module, and the base answers silently",
    source="transformers#38627, peft#2574",
    patches={"sft_ref.reference.sft.load": broken_load},
)
