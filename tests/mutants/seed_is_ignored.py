"""The seed reaches what shuffles the rows, but the blank adapter is drawn before."""

from mutation import Mutant

MUTANT = Mutant(
    id="seed",
    stage="train",
    checks=("TRN-008",),
    fault="nothing is seeded before the adapter is drawn, so that no training can be repeated",
    source="our own; no known report",
    patches={"sft_ref.reference.sft.transformers.set_seed": lambda seed: None},
)
