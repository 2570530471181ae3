"""Checks of the stage artifact: names and shapes of tensors, against those implied by configuration and base."""

from __future__ import annotations

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Blocked, Failure, Unavailable
from sft_ref.harness.evidence.adapter import AdapterEvidence, is_embedding
from sft_ref.io.lora_config import CONFIG

_FIRST = ("ART-201", "ART-204", "ART-205")


@check(
    "ART-211",
    "The target modules of the configuration exist in the base",
    why="Otherwise peft cannot apply the adapter to the base.",
    remedy="Pass the base whose modules target_modules names, or correct target_modules.",
    depends_on=("ART-201",),
    core=True,
)
def configuration_fits_the_base(evidence: AdapterEvidence) -> None:
    """ART-211: Lets peft apply the configuration to a base without weights."""
    if evidence.refusal:
        raise Failure(
            f"the adapter cannot be applied to the base: {evidence.refusal}", "target modules of this base", CONFIG
        )


@check(
    "ART-212",
    "Tensors are complete matrices",
    why="An empty tensor contains none of the trained values.",
    remedy="Gather the parameters before saving: zero.GatheredParameters, or FSDP.summon_full_params.",
    depends_on=(*_FIRST, "ART-211"),
)
def tensors_are_whole(evidence: AdapterEvidence) -> None:
    """ART-212: Finds the placeholders that ZeRO-3 and FSDP leave in place of parameters."""
    _fail_by(evidence, "partition")


@check(
    "ART-213",
    "Tensors have the names that peft expects",
    why="peft ignores tensors with unknown names, with at most a warning.",
    remedy="Unwrap the model before save_pretrained, or remove the prefix or infix from the names.",
    depends_on=(*_FIRST, "ART-211"),
)
def names_are_pefts(evidence: AdapterEvidence) -> None:
    """ART-213: Finds prefixes and infixes of torch.compile, DDP, FSDP and others, and missing prefixes."""
    _fail_by(evidence, "names", "adapter name")


@check(
    "ART-214",
    "The flag use_dora agrees with the tensors",
    why="Without its magnitude vectors, or with vectors that are ignored, the adapter has a different effect.",
    remedy="Set use_dora as in training, or save again with the magnitude vectors.",
    depends_on=(*_FIRST, "ART-211"),
)
def dora_agrees(evidence: AdapterEvidence) -> None:
    """ART-214: Requires all magnitude vectors, or none."""
    _fail_by(evidence, "dora")


@check(
    "ART-215",
    "Tensor shapes match the base",
    why="The adapter was trained on another base.",
    remedy="Pass the base it was trained on (--base).",
    depends_on=(*_FIRST, "ART-211"),
)
def shapes_are_of_the_base(evidence: AdapterEvidence) -> None:
    """ART-215: Finds sizes that the rank does not explain, and modules that the base does not have."""
    _fail_by(evidence, "base")


@check(
    "ART-216",
    "Every lora_A has its lora_B, and vice versa",
    why="One matrix of a pair without the other has no effect, or adds noise.",
    remedy="Save again, with both matrices of each pair.",
    depends_on=(*_FIRST, "ART-211"),
)
def matrices_come_in_pairs(evidence: AdapterEvidence) -> None:
    """ART-216: Finds A without B, and B without A."""
    _fail_by(evidence, "pairs")


@check(
    "ART-217",
    "Every adapted layer has its tensors",
    why="Missing tensors keep their initial values, and have no effect.",
    remedy="Gather the layers of all processes before saving, and save again.",
    depends_on=(*_FIRST, "ART-211"),
)
def layers_are_all_there(evidence: AdapterEvidence) -> None:
    """ART-217: Finds layers that have no tensor at all."""
    _fail_by(evidence, "layers")


@check(
    "ART-218",
    "The configuration targets the modules that the file contains",
    why="Tensors of modules that are not targeted are ignored; targets without tensors keep their initial values.",
    remedy="Set target_modules and layers_to_transform as in training.",
    depends_on=(*_FIRST, "ART-211"),
)
def targets_agree(evidence: AdapterEvidence) -> None:
    """ART-218: Compares module types and layers."""
    _fail_by(evidence, "targets")


@check(
    "ART-219",
    "The configured rank matches the tensors",
    why="peft refuses tensors of another rank, and the scaling depends on the rank.",
    remedy="Set r and rank_pattern as in training.",
    depends_on=(*_FIRST, "ART-211"),
)
def rank_agrees(evidence: AdapterEvidence) -> None:
    """ART-219: Compares the rank of each pair, including rank patterns."""
    _fail_by(evidence, "rank")


@check(
    "ART-220",
    "The settings modules_to_save and bias agree with the tensors",
    why="Otherwise a module that was trained in full is lost.",
    remedy="Set modules_to_save and bias as in training, or save again.",
    depends_on=(*_FIRST, "ART-211"),
)
def whole_modules_agree(evidence: AdapterEvidence) -> str | None:
    """ART-220: Examines tensors other than low-rank matrices; peft loads even those that the configuration omits."""
    _fail_by(evidence, "whole")
    optional = evidence.expected.optional if evidence.expected else {}
    beyond = [name for name in evidence.files.headers if name in optional and not is_embedding(name)]
    return f"{len(beyond)} whole weights of the base are replaced on loading, first {min(beyond)}" if beyond else None


@check(
    "ART-221",
    "The file contains exactly the tensors that its configuration implies",
    why="Missing tensors keep their initial values; extra tensors are ignored.",
    remedy="Save again with the PeftModel's save_pretrained.",
    depends_on=(*_FIRST, "ART-211"),
    core=True,
)
def tensors_are_those_expected(evidence: AdapterEvidence) -> None:
    """ART-221: Finds differences that no earlier check of names and shapes explains."""
    _fail_by(evidence, "keys")
    if any(each.pattern != "taken name" for each in evidence.differences):
        raise Blocked("the tensors differ in a way that another check reports")


@check(
    "ART-222",
    "Every version of peft accepts the names of the tensors",
    why="Older versions ignore tensors whose names contain the adapter's name.",
    remedy="Save with save_pretrained, which removes the adapter's name from the names of tensors.",
    level=Level.CONTRACT,
    depends_on=("ART-221",),
)
def every_peft_accepts_the_names(evidence: AdapterEvidence) -> None:
    """ART-222: Finds names that the installed version of peft accepts, but older versions ignore."""
    _fail_by(evidence, "taken name")


def _fail_by(evidence: AdapterEvidence, *patterns: str) -> None:
    evidence.files.check_readable()
    if evidence.expected is None:
        raise Unavailable("the expected tensors are unknown")
    found = [each for each in evidence.differences if each.pattern in patterns]
    if found:
        raise Failure("; ".join(each.observed for each in found), found[0].expected, found[0].example)
