"""Rows as a trainer writes, tokenizes and labels them: `sft-ref prompt`, the stop contract, data sets as targets."""
