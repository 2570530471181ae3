"""The toy base: a Llama of about 1 M parameters that replaces SmolLM2-135M-Instruct, and its recipe."""
