"""What recorders and checks measure with."""
