"""What runs inside a submission's process: no import of sft_ref, the submission's own libraries, syntax of Python 3.10."""
