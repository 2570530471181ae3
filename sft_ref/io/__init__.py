"""Files: read with care, written whole, and locked. Knows nothing of training or of checks."""
