"""An adapter of one's own, with its base and questions, loaded in several ways: what each of them changes."""
