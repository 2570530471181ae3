"""Submissions that attack who grades them, and what must come of it."""
