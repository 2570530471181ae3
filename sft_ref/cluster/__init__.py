"""Runs functions on the nodes of a Ray cluster (extra ``ray``). Knows nothing of gradings or sweeps."""
