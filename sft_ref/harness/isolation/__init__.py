"""Runs untrusted code in its own process, in a sandbox, within limits."""
