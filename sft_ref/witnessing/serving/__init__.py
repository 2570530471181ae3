"""Holds an OpenAI-style endpoint against the record of a training."""
