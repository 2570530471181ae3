"""Checks of the stage tokens: the tokenizer in a GGUF file."""

from __future__ import annotations

from sft_ref.harness.core.check import check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.exported.gguf import GgufEvidence, Vocabulary

_REMEDY = "Convert again from a folder that has the tokenizer of training."


@check(
    "TOK-501",
    "Every token of the base's tokenizer has the same number in the file",
    why="The model was trained on token numbers; if a number stands for a different text, the model reads other words.",
    remedy=_REMEDY,
    core=True,
)
def tokens_have_the_same_numbers(evidence: GgufEvidence) -> None:
    """TOK-501: Ignores rows beyond the tokenizer's size, which pad the embedding."""
    vocabulary = _vocabulary(evidence)
    if vocabulary.different:
        first = vocabulary.examples[0]
        found = repr(first.found) if first.number < vocabulary.count else "missing"
        seen = f"{vocabulary.different} of {vocabulary.expected} tokens differ; token {first.number} is {found}"
        raise Failure(seen, f"{first.expected!r}, as in the base's tokenizer", f"token {first.number}")


@check(
    "TOK-502",
    "Special tokens of the base's tokenizer are special in the file",
    why="A special token that is marked as ordinary is split as text, and the model never sees it.",
    remedy=_REMEDY,
    depends_on=("TOK-501",),
)
def special_tokens_are_special(evidence: GgufEvidence) -> None:
    """TOK-502: Accepts the kinds control, user-defined and unknown of tokenizer.ggml.token_type."""
    if ordinary := _vocabulary(evidence).ordinary:
        seen = f"{len(ordinary)} special tokens are ordinary text in the file, {ordinary[0]!r} first"
        raise Failure(seen, "kind 3 (control) or 4 (user-defined)", ordinary[0])


@check(
    "TOK-503",
    "Pairs are merged in the same order as by the base's tokenizer",
    why="With different merges, the same text becomes different tokens.",
    remedy=_REMEDY,
    depends_on=("TOK-501",),
)
def merges_are_the_same(evidence: GgufEvidence) -> str | None:
    """TOK-503: Applies to tokenizers that merge pairs."""
    vocabulary = _vocabulary(evidence)
    if vocabulary.merges is None:
        raise Unavailable("the file's tokenizer, or the base's, does not merge pairs")
    if vocabulary.merges:
        raise Failure(vocabulary.merges, "the merges of the base's tokenizer", evidence.file)
    if vocabulary.pre in ("", "default"):
        return "tokenizer.ggml.pre does not say how text is split before pairs are merged"
    return None


@check(
    "TOK-504",
    "A token is added before or after each text exactly if the base's tokenizer adds it",
    why="A prompt that begins or ends with a different token differs from that of training.",
    remedy="Set tokenizer.ggml.add_bos_token and add_eos_token as the base's tokenizer does.",
)
def the_same_tokens_are_added(evidence: GgufEvidence) -> str | None:
    """TOK-504: Gives advice if the metadata lacks the setting, since programs then differ."""
    for role, (found, expected) in evidence.adds.items():
        if found is not None and found != expected:
            does, due = (("adds" if each else "does not add") for each in (found, expected))
            seen = f"the file {does} the {role} token to each text, and the base's tokenizer {due} it"
            raise Failure(seen, f"add_{role}_token {str(expected).lower()}", evidence.file)
    missing = [f"add_{role}_token" for role, (found, expected) in evidence.adds.items() if found is None and expected]
    return f"the file does not set {' and '.join(missing)}, which the base's tokenizer sets" if missing else None


@check(
    "TOK-505",
    "The token that begins a text has the same number as in the base's tokenizer",
    why="A prompt that begins with a different token differs from that of training.",
    remedy=_REMEDY,
)
def begins_with_the_same_token(evidence: GgufEvidence) -> str | None:
    """TOK-505: Fails only if the token is added to texts; the checks of generation examine the end token."""
    found, expected = evidence.special["bos"]
    if found == expected:
        return None
    seen = (
        f"the token that begins a text is {evidence.name(found)}, and {evidence.name(expected)} in the base's tokenizer"
    )
    if expected is not None and any(evidence.adds["bos"]):
        raise Failure(seen, evidence.name(expected), evidence.file)
    return f"{seen}; it is not added to texts"


def _vocabulary(evidence: GgufEvidence) -> Vocabulary:
    if evidence.vocabulary is None:
        raise Unavailable("the file has no tokens")
    return evidence.vocabulary
