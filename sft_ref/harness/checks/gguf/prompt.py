"""Checks of the stage prompt: the chat template in a GGUF file."""

from __future__ import annotations

from sft_ref.harness.core.check import check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.exported.gguf import GgufEvidence

_AROUND = 60
"""Number of characters of a text shown in a message."""


@check(
    "PRM-501",
    "The chat template in the file gives the same tokens as the base's",
    why="A model that is asked in a different format from that in training gives worse answers, or never stops.",
    remedy="Convert again from a folder that has the chat template of training.",
    core=True,
)
def template_gives_the_same_tokens(evidence: GgufEvidence) -> None:
    """PRM-501: Renders conversations of one and several turns, with and without a system message."""
    if not evidence.expects_template:
        raise Unavailable("the base's tokenizer has no chat template")
    if not evidence.has_template:
        raise Failure(
            "the file has no chat template, so that programs use one of their own", "the base's", evidence.file
        )
    for each in evidence.renderings:
        roles = ", ".join(each.roles)
        if each.problem:
            raise Failure(
                f"the template cannot render the turns {roles}: {each.problem}", "the base's text", evidence.file
            )
        if each.first is not None:
            at = _first_unlike(each.found, each.expected)
            found, expected = (text[at : at + _AROUND] for text in (each.found, each.expected))
            seen = f"token {each.first} differs: the template writes {found!r}, and the base's {expected!r}"
            raise Failure(seen, "the same tokens", roles)


@check(
    "PRM-502",
    "The token that begins each text is not in the chat template as well",
    why="With two of them, the prompt differs from that of training.",
    remedy="Set tokenizer.ggml.add_bos_token to false, or remove the token from the template.",
    depends_on=("PRM-501",),
)
def begins_once(evidence: GgufEvidence) -> str | None:
    """PRM-502: Only gives advice, since llama.cpp warns of a second token, and some programs remove it."""
    if evidence.begins_twice:
        return f"{evidence.name(evidence.special['bos'][0])} is added to each text, and is also in the template"
    return None


def _first_unlike(one: str, other: str) -> int:
    shared = min(len(one), len(other))
    return next((at for at in range(shared) if one[at] != other[at]), shared)
