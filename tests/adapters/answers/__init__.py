"""What rows and a prompt show of a bare adapter."""
