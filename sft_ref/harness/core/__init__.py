"""Checks, results, verdicts, stages, and the protocol of an implementation."""
