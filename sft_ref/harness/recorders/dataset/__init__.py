"""Records a data set: its rows as a trainer would format, tokenize and label them."""
