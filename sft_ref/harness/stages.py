"""The way a question takes."""

STAGES = {
    "PRM": "prompt",
    "TOK": "tokens",
    "TRN": "train",
    "ART": "artifact",
    "LOD": "load",
    "GEN": "generate",
    "PRS": "parse",
    "SCR": "score",
}
"""Prefix of a check's id -> the stage it speaks of, in the order a question takes."""
