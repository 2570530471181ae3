"""Records an object that follows the protocol, in this process."""
