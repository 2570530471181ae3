"""Checks of the stage generate: the tokens at which a program that loads a GGUF file stops."""

from __future__ import annotations

from sft_ref.harness.core.check import Level, check
from sft_ref.harness.core.findings import Failure, Unavailable
from sft_ref.harness.evidence.exported.gguf import GgufEvidence

_BY_NAME = frozenset(
    {"<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|eom_id|>", "<end_of_turn>", "<|endoftext|>"}
    | {
        "<|end_of_text|>",
        "<EOT>",
        "_<EOT>",
        "[EOT]",
        "[EOS]",
        "<\uff5cend\u2581of\u2581sentence\uff5c>",
        "<end_of_utterance>",
    }
)
"""Texts of tokens at which llama.cpp stops regardless of the metadata (llama-vocab.cpp, special_eog_ids)."""


@check(
    "GEN-501",
    "Generation stops at the token that ends an answer",
    why="Otherwise an answer never ends: the model goes on with turns that it invents.",
    remedy="Set tokenizer.ggml.eos_token_id or eot_token_id to the token that ends a turn.",
    core=True,
)
def answers_end(evidence: GgufEvidence) -> None:
    """GEN-501: Accepts eos, eot and eom of the metadata, and the token texts that llama.cpp knows."""
    due = _due(evidence)
    if due not in evidence.stops and evidence.texts.get(str(due)) not in _BY_NAME:
        raise Failure(_seen(evidence), evidence.name(due), evidence.file)


@check(
    "GEN-502",
    "The metadata itself names the token that ends an answer",
    level=Level.CONTRACT,
    why="llama.cpp recognises some such tokens by name; other programs rely on the metadata, and do not stop.",
    remedy="Set tokenizer.ggml.eos_token_id or eot_token_id to the token that ends a turn.",
    depends_on=("GEN-501",),
)
def metadata_names_the_end(evidence: GgufEvidence) -> str | None:
    """GEN-502: Accepts eos, eot and eom of the metadata only."""
    due = _due(evidence)
    if due not in evidence.stops:
        raise Failure(_seen(evidence), evidence.name(due), evidence.file)
    if others := [each for each in evidence.stops_of_base if each not in evidence.stops]:
        return f"the base stops at {', '.join(map(evidence.name, others))} as well"
    return None


def _due(evidence: GgufEvidence) -> int:
    """Returns the token with which the chat template ends a turn, or else the first stop token of the base."""
    due = evidence.turn_ends if evidence.turn_ends is not None else next(iter(evidence.stops_of_base), None)
    if due is None:
        raise Unavailable("neither the base's template nor its tokenizer names a token that ends an answer")
    return due


def _seen(evidence: GgufEvidence) -> str:
    stops = ", ".join(map(evidence.name, evidence.stops)) or "no token"
    how = "the base's chat template ends" if evidence.turn_ends is not None else "the base ends"
    return f"by the metadata, generation stops at {stops}, but {how} an answer with {evidence.name(_due(evidence))}"
