"""One function for each part of the evidence of an implementation, a file per stage.

A function is named after the part that it makes; its parameters are the parts that it is made from.
"""
