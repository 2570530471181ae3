"""Speed only: the reference gives the same results without these files, later."""
