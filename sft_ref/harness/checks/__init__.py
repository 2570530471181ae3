"""The catalogue of checks, and what runs them."""
