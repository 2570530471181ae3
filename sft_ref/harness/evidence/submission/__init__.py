"""What follows from the evidence of a submission, for checks and verdict: nothing here was observed by itself."""
