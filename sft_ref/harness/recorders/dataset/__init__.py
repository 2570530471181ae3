"""Observes a data set: its rows as a trainer would write, tokenize and label them."""
