"""The toy base: a Llama of about 1 M parameters in the place of SmolLM2-135M-Instruct, and its recipe."""
