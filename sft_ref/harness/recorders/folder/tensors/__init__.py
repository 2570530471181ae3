"""Reads and measures the tensors of adapters and bases in pieces: memory does not grow with their files."""
