"""Renders reports as one HTML page that fetches nothing and runs only its own script, whatever text it contains."""
