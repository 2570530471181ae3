"""Records an adapter folder as written by peft, TRL, axolotl or unsloth."""
