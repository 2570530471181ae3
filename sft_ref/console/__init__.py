"""The terminal: what is read from it, written to it, and safe to show on it."""
