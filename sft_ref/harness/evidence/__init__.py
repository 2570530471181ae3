"""Evidence that recorders collect about a fine-tune, and its file format. Runs no process and holds no model."""

from .evidence import Evidence

__all__ = ["Evidence"]
