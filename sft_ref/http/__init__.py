"""Clients of endpoints that speak OpenAI's protocol."""
