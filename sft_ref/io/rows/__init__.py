"""Reads rows of questions and answers from files, in the usual forms of fine-tuning data."""
