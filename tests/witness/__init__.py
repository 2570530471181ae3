"""A package only so that mypy tells its conftest.py from the one above."""
