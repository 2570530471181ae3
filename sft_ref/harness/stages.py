"""The way a question takes, and the parts of it that each kind of target is examined for."""

STAGES = {
    "PRM": "prompt",
    "TOK": "tokens",
    "TRN": "train",
    "ART": "artifact",
    "LOD": "load",
    "BAS": "base identity",
    "SCL": "scaling",
    "GEN": "generate",
    "PRS": "parse",
    "SCR": "score",
}
"""Prefix of a check's id -> the stage it speaks of, in the order a question takes."""

CODE_STAGES = ("prompt", "tokens", "train", "artifact", "load", "generate", "parse", "score")
"""What an implementation or a submission is examined for."""

ADAPTER_STAGES = ("artifact", "load", "base identity", "scaling", "prompt", "generate")
"""What a bare adapter is examined for."""
