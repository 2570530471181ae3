"""The HTML pages of sweeps and of comparisons with a record: one file per kind."""
