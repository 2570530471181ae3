"""Reports: they show verdicts and results, and decide nothing."""
