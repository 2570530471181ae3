"""Recorders that observe a fine-tune: an object in this process, foreign code in a sandbox, or an adapter folder."""
