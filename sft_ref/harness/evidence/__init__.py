"""What is observed of a fine-tune: frozen records, a part per stage. Nothing here runs a process or holds a model."""

from .evidence import Evidence

__all__ = ["Evidence"]
