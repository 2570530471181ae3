"""Command lines with bad input, as data: each must end in one line that says what is wrong, and leave nothing behind."""
