"""From the results of checks to a verdict and its cause."""
