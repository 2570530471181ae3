"""Base models: finds the folder of a base on this machine and checks its files. Independent of precision."""
