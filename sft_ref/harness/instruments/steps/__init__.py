"""Records optimizer steps. The agent is copied with this folder, so that it imports torch and itself alone."""
