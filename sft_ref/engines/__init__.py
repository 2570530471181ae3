"""Engines that generate in place of the reference's own loop: OpenVINO GenAI on a merged model, or an endpoint.

The default is the reference with transformers. An engine is another way to load a model, measured by the same figures.
"""
