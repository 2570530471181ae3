"""What can be observed of models in the formats of other programs."""
