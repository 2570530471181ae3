"""Shared checks of the stage load."""

from __future__ import annotations

from sft_ref.harness.core import tolerance
from sft_ref.harness.core.check import PRECISION, Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.core.paired import compare, is_worse
from sft_ref.harness.evidence.views import FolderDigests, LoadedLosses, ModelDtypes, NonfiniteLogits


@check(
    "LOD-001",
    "Loading and testing leave the adapter folder unchanged",
    why="A load that finds no adapter, and saves an untrained one in its place, destroys the training.",
    remedy="Let load only read, and raise an error if the adapter is missing.",
    depends_on=("ART-001", "ART-101"),
    source="S1; course submission",
    aliases=("LOD-104",),
)
def folder_is_only_read(folder_digests: FolderDigests) -> None:
    """LOD-001: Compares the files' digests before and after."""
    before, after = folder_digests.before, folder_digests.after
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            what = "was changed" if name in before and name in after else "appeared" if name in after else "is gone"
            raise Failure(
                f"a file of the adapter folder {what} while the model was loaded and tested", "unchanged files", name
            )


@check(
    "LOD-003",
    "The loaded model has the same loss as the trained adapter when the reference loads it",
    why="An adapter that is dropped, untrained, applied twice or scaled differently is not the trained one; embeddings,"
    " norms, positions or an untied head can differ as well.",
    remedy="Call PeftModel.from_pretrained(base, folder) once, on the base of the training, and keep what it returns.",
    depends_on=("TRN-004", "LOD-101"),
    source="A4, A7, A8, S1; transformers#45127",
    core=True,
    aliases=("LOD-102",),
)
def loaded_model_is_as_good_as_trained(loaded_losses: LoadedLosses) -> None:
    """LOD-003: Compares losses of the same texts; a failure also states if the loss is that of the base alone."""
    own, due = loaded_losses.observed, loaded_losses.expected
    if is_worse(own, due):
        is_bare = abs(own.mean() - loaded_losses.base.mean()) < tolerance.LOSS
        near = " (that of the base alone)" if is_bare else ""
        seen = (
            f"the loss of the loaded model is {own.mean():.3f} nat a token{near}, {compare(own, due)} against the same"
            " adapter loaded by the reference"
        )
        raise Failure(seen, f"{due.mean():.3f}", loaded_losses.example, survivable=loaded_losses.is_survivable)


@check(
    "LOD-005",
    "The loaded model has the trained dtypes, even if the base's configuration names another",
    level=Level.CONTRACT,
    why="In a different precision from that of training, the model computes different numbers. A dtype that"
    " follows a library's default, or a cast of the whole model, can change while code and data stay the same.",
    remedy="Pass the same dtype explicitly wherever the base is loaded, for training and for inference, and cast"
    " nothing afterwards.",
    depends_on=("LOD-101",),
    source="P8, P14, P19, P20, P22, P26, NC1; transformers#24774, trl#4770",
    claim=PRECISION,
    aliases=("LOD-103",),
)
def dtypes_are_the_trained_ones(model_dtypes: ModelDtypes) -> None:
    """LOD-005: Compares every tensor that is known by name, or the base as a whole."""
    if not model_dtypes.trained or not all(model_dtypes.loaded.values()):
        raise Unavailable("the dtypes of the trained or of the loaded model are unknown: give TrainingResult.dtypes")
    for case, loaded in model_dtypes.loaded.items():
        for name, dtype in model_dtypes.trained.items():
            if (found := loaded.get(name, "missing")) != dtype:
                raise Failure(f"{name} is {found}", f"{dtype}, as trained", case)


@check(
    "LOD-108",
    "Every logit of the loaded model is finite",
    why="After one NaN or infinity, all tokens look equally good to the model, and all answers are NaN.",
    remedy="Load in bfloat16 or float32, in which activations do not overflow, and look for large values in the"
    " adapter.",
    depends_on=("LOD-101", "LOD-201"),
    source="P1",
    core=True,
    aliases=("LOD-204",),
)
def logits_are_finite(nonfinite_logits: NonfiniteLogits) -> str | None:
    """LOD-108: Requires finite logits where the reference has them; only gives advice for dtypes not requested."""
    if nonfinite_logits.found:
        raise Failure(f"logits are NaN or infinite {nonfinite_logits.found}", "finite logits", nonfinite_logits.example)
    if dtypes := nonfinite_logits.elsewhere:
        return f"logits are NaN or infinite if the model is loaded in {dtypes}, in which the base alone is finite"
    return None
