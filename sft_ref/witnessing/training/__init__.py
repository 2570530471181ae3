"""Observes a training, whoever wrote its loop, and reports faults that keep it from learning."""
