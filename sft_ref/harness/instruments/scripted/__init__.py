"""Tracks the generation of a causal language model, row by row, and can force it to write given texts.

All recorders share this code: the harness hooks it onto a model in this process, and a copy of this folder runs next to
foreign code. Therefore it imports torch only, and uses the syntax of Python 3.10.
"""
