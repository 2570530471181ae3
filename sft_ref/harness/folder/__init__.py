"""Bare adapters: a folder as peft, TRL or axolotl leave it."""
