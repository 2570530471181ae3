"""Evidence about models in the file formats of other programs."""
