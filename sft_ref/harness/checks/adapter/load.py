"""Checks of the stage load: the effect of the adapter after peft has loaded it onto its base."""

from __future__ import annotations

from sft_ref.harness.checks.shared import checks_of
from sft_ref.harness.core import tolerance
from sft_ref.harness.core.check import Level, check, checks_in
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.adapter import AdapterEvidence, LoadedAdapter

from . import artifact_files, artifact_keys, artifact_values

_ARTIFACT = (
    *checks_in(artifact_files, artifact_keys, artifact_values),
    *(each for each in checks_of(AdapterEvidence) if each.stage == "artifact"),
)
_APART_FROM = frozenset({"ART-007", "ART-207", "ART-209"})
"""Checks of the artifact that loading does not depend on."""


@check(
    "LOD-201",
    "The adapter loads with peft",
    why="An adapter that does not load has no effect.",
    remedy="Save it again with the PeftModel's save_pretrained, under the version of peft that loads it.",
    depends_on=tuple(each.id for each in _ARTIFACT if each.level is Level.UNIVERSAL and each.id not in _APART_FROM),
    core=True,
)
def adapter_loads(evidence: AdapterEvidence) -> None:
    """LOD-201: Loads the adapter in fp32."""
    if evidence.config is not None and (start := evidence.config.changes_base):
        raise Unavailable(
            f"init_lora_weights {start!r} may change the base's weights on loading, and such adapters are not judged"
        )
    if evidence.loaded is None:
        raise Unavailable(evidence.not_loaded or "the adapter was not loaded")
    if evidence.loaded.problem:
        raise Failure(evidence.loaded.problem, "a loaded adapter", "")


@check(
    "LOD-202",
    "The loaded model computes with the weights of file and configuration",
    why="Otherwise peft builds a different adapter from the trained one.",
    remedy="Load with the version of peft that trained it, and report the difference to peft.",
    depends_on=("LOD-201",),
    core=True,
)
def weights_are_those_due(evidence: AdapterEvidence) -> None:
    """LOD-202: Compares with base plus scaling times B A, computed without peft.

    DoRA, biases, experts, embeddings and saved modules are included.
    """
    loaded = _loaded(evidence)
    if loaded.difference is None:
        raise Unavailable(f"what the adapter adds cannot be computed here for {loaded.not_computed}")
    allowed = tolerance.LOGITS["float32"] * loaded.largest_logit
    if not loaded.difference <= allowed:
        place = f"first in {loaded.first_different}" if loaded.first_different else "random tokens"
        raise Failure(
            f"logits of the loaded model differ by {loaded.difference:.3g} from those of file and configuration",
            f"at most {allowed:.3g}",
            place,
        )


@check(
    "LOD-203",
    "The adapter changes the base's logits",
    why="An adapter without effect was not trained, is scaled to zero, or is not loaded.",
    remedy="Inspect lora_alpha and the tensors: what is multiplied by zero has no effect.",
    depends_on=("LOD-201",),
)
def adapter_changes_logits(evidence: AdapterEvidence) -> str | None:
    """LOD-203: Compares the logits of random tokens with and without the adapter."""
    loaded = _loaded(evidence)
    if not loaded.base_change > tolerance.WEIGHTS["float32"] * loaded.largest_logit:
        raise Failure(
            f"the adapter changes logits by {loaded.base_change:.3g}",
            "more than rounding",
            f"the largest is {loaded.largest_logit:.3g}",
        )
    hardly = loaded.base_change < tolerance.LOGITS["float32"] * loaded.largest_logit
    return (
        f"the adapter changes logits by {loaded.base_change:.3g} of {loaded.largest_logit:.3g} only" if hardly else None
    )


def _loaded(evidence: AdapterEvidence) -> LoadedAdapter:
    if evidence.loaded is None:
        raise Unavailable("the adapter was not loaded")
    return evidence.loaded
