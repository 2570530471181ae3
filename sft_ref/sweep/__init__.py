"""Every precision setting tried, every drift measured: trained once per policy, loaded under each.

Stands above the reference and the harness, and only the command line imports it.
"""
