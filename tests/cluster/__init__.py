"""A package so that mypy tells its conftest.py from the one above, and its tests find what stands there."""
