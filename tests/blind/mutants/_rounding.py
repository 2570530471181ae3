"""Rounds the base's Linear weights to a few bits, in place, as a quantised base holds them."""

import torch


def round_weights(model: torch.nn.Module, bits: int) -> None:
    """Gives each row of each Linear weight but the head's 2 ** bits - 1 levels."""
    most = 2 ** (bits - 1) - 1
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and "lora_" not in name and "lm_head" not in name:
            step = module.weight.data.abs().amax(1, keepdim=True) / most
            module.weight.data = (module.weight.data / step).round() * step
