"""Grades an implementation of the protocol in this process."""
