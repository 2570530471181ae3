"""Low-rank adapters as forward hooks. The model itself is never touched."""

import json

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

TARGETS = ("q_proj", "o_proj")


class Adapter(nn.Module):
    def __init__(self, layer, rank, alpha):
        super().__init__()
        self.a = nn.Parameter(torch.randn(rank, layer.in_features) / rank)
        self.b = nn.Parameter(torch.zeros(layer.out_features, rank))
        self.scale = alpha / rank

    def forward(self, x):
        return nn.functional.linear(nn.functional.linear(x, self.a), self.b) * self.scale

    def hook(self, layer, args, output):
        return output + self(args[0])


class Adapters(nn.Module):
    """all adapters of a model, in the order of its layers"""

    def __init__(self, model, rank=16, alpha=32):
        super().__init__()
        self.config = {"rank": rank, "alpha": alpha}
        self.names, self.handles, found = [], [], []
        for name, layer in model.named_modules():
            if name.endswith(TARGETS):
                adapter = Adapter(layer, rank, alpha).to(next(layer.parameters()).device)
                self.handles.append(layer.register_forward_hook(adapter.hook))
                self.names.append(name)
                found.append(adapter)
        self.adapters = nn.ModuleList(found)

    def remove(self):
        for handle in self.handles:
            handle.remove()

    def save(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        factors = {}
        for name, adapter in zip(self.names, self.adapters):
            factors[f"{name}.a"] = adapter.a.detach().cpu()
            factors[f"{name}.b"] = adapter.b.detach().cpu()
        save_file(factors, path, metadata={"config": json.dumps(self.config)})

    @classmethod
    def read(cls, model, path):
        with safe_open(path, framework="pt") as file:
            self = cls(model, **json.loads(file.metadata()["config"]))
            for name, adapter in zip(self.names, self.adapters):
                adapter.a.data.copy_(file.get_tensor(f"{name}.a"))
                adapter.b.data.copy_(file.get_tensor(f"{name}.b"))
        return self.requires_grad_(False)
