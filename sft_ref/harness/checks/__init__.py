"""The catalogue of checks, and their runner."""
