"""Supervised fine-tuning with LoRA, to be read first: `prompt`, `data`, `tokens`, `loss`, `training`, `sft`."""
