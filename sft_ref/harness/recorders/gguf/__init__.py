"""Records the metadata of a GGUF file: its tokenizer and chat template. No tensor is read."""
