"""What must be true of any LoRA fine-tune: checks, the instruments they use, and the order they run in."""
