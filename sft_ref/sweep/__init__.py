"""Sweeps over precision: trains once per policy, loads under every policy, and measures what changed.

Imports the reference, the engines, the cluster package, and the harness's core, evidence, instruments and recorders;
only the command line imports it.
"""
