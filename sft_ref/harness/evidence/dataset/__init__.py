"""Evidence about a dataset: how a trainer would format, tokenize and label its rows."""
