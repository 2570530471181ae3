"""Observes an adapter folder, as peft, TRL, axolotl or unsloth leave it."""
