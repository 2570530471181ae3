"""Observes the folder of a merged model."""
