"""The record that a training writes beside its adapter; docs/record.md describes the format."""
