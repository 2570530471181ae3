"""The record that a training leaves beside its adapter; docs/record.md describes the format."""
