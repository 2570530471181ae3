"""The stages of a fine-tune, in pipeline order."""

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
"""Prefix of a check's id -> the check's stage."""

SUBMISSION_STAGES = ("prompt", "tokens", "train", "artifact", "load", "generate", "parse", "score")
"""The stages examined in code that fine-tunes."""

ADAPTER_STAGES = ("artifact", "load", "base identity", "scaling", "prompt", "generate")
"""The stages examined in an adapter without code."""

GGUF_STAGES = ("prompt", "tokens", "generate")
"""The stages examined in a GGUF file."""

MERGED_STAGES = ("artifact",)
"""The stages examined in a merged model."""

DATASET_STAGES = ("prompt", "tokens")
"""The stages examined in a data set."""
