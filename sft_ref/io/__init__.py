"""Reads untrusted files, writes files atomically, and locks folders. Knows nothing of training or checks."""
