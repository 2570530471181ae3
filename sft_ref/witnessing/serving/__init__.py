"""Compares an OpenAI-style endpoint with the record of a training."""
