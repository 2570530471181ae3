"""Loads a user's adapter in several ways, and measures the changes on the user's questions."""
