"""Records optimizer steps. This folder is copied with the agent, so it imports only torch and itself."""
