"""Integrations of the harness into other tools."""
