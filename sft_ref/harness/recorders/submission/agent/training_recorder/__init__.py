"""Records the training of a submission: its texts, its optimizer steps, and its adapter."""
