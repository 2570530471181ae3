"""Compares a folder or a loaded model with the record of its training."""
