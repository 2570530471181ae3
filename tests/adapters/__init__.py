"""Bare adapters: families, features, patterns, kinds, and merged models beside them."""
