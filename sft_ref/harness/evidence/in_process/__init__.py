"""What is observed of an implementation in this process."""
