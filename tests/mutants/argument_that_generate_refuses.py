from mutation import Mutant

from sft_ref.reference.fast.decoding import LOOP

MUTANT = Mutant(
    id="GEN-argument",
    stage="generate",
    checks=("GEN-016",),
    fault="generate is passed an argument that it does not know, and raises before any forward",
    source="own: an argument of another version of the library",
    patches={"sft_ref.reference.base_llm.LOOP": {**LOOP, "early_exit": 2}},
)
