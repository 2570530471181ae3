"""What runs in a submission's process: with its libraries, without sft_ref, in the syntax of Python 3.10."""
