"""Reads and measures the tensors of adapters and base models in pieces: memory does not grow with file size."""
