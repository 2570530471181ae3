"""Evidence about an implementation in this process."""
