"""Speed only: without these files, the reference gives the same results more slowly."""
