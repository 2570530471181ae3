"""The terminal: its input, its output, and the escaping of unsafe text."""
