"""Sweeps over precision: trains once per policy, loads under every policy, and measures what changed.

Imports the reference and the harness's instruments; only the command line imports it.
"""
