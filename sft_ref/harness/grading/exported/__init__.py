"""The verdicts on models in the formats of other programs."""
