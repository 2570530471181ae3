"""Foreign code runs in a process of its own, in a sandbox, within limits."""
