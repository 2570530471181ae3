"""Records the folder of a merged model."""
