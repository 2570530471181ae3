"""Shows verdicts and results; decides nothing."""
