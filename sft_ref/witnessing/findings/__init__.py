"""What can be wrong with a training: pure functions of what was observed, a file a subject."""
