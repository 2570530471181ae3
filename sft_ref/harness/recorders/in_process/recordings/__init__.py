"""Functions that record the parts of an implementation's evidence, one function per part and one file per stage.

A function is named after the part that it makes; its parameters are the parts that it depends on.
"""
