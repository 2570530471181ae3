"""Derives verdicts and their causes from the results of checks."""
