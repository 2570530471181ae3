"""A submission: foreign code, as a folder, a zip or a module."""
