"""Runs functions on the nodes of a Ray cluster (extra ``ray``). Independent of gradings and sweeps."""
