"""The stages of a fine-tune, in the order in which a question passes them."""

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
"""Prefix of a check's id -> the stage it speaks of, in that order."""

SUBMISSION_STAGES = ("prompt", "tokens", "train", "artifact", "load", "generate", "parse", "score")
"""What is examined of code that fine-tunes."""

ADAPTER_STAGES = ("artifact", "load", "base identity", "scaling", "prompt", "generate")
"""What is examined of an adapter alone."""
