"""Holds a folder or a loaded model against the record of its training."""
