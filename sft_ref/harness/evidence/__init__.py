"""What can be observed of a fine-tune, and the files that it is saved in."""
