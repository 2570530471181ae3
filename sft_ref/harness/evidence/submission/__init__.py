"""Conclusions from the evidence of a submission, for checks and verdict. Nothing is observed here."""
