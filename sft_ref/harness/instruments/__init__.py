"""Measuring tools for recorders and checks."""
