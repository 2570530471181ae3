"""Who generates: OpenVINO GenAI on a merged model, or an endpoint, in place of the reference's own loop.

transformers, in the reference, is the default. An engine is one more way to load a model, held to the same figures.
"""
