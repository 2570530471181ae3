"""What can be observed of a fine-tune, and the files that it is saved in. Runs no process and holds no model."""

from .evidence import Evidence

__all__ = ["Evidence"]
