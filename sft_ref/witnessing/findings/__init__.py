"""Finds faults of a training: pure functions of the observations, one module for each subject."""
