"""Rows of questions and answers in files, in the forms that fine-tunes keep them."""
