"""What can be observed of a data set: how a trainer would write, tokenize and label its rows."""
