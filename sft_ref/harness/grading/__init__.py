"""Grades one target or many."""
