"""Observes a training, whoever wrote its loop, and tells what keeps it from learning."""
