"""Memory: how much is free, and what garbage collection need not search."""
