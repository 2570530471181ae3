"""Reads untrusted files, writes files atomically, and locks folders. Independent of training and checks."""
