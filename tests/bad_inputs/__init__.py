"""Command lines with bad input, as data: each ends in one line that says what is wrong, and leaves nothing behind."""
