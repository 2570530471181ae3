"""Follows what a causal language model generates, row by row, and makes it write given texts.

One instrument for every recorder: the harness hooks it onto a model in process, and a copy of this folder runs beside
foreign code. So it imports torch alone, in the syntax of Python 3.10.
"""
