"""Base models: a name becomes a folder on this machine, and what lies in it is checked. Knows nothing of precision."""
