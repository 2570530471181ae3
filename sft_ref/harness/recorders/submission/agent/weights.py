"""What of a model's weights training and answering must share: active adapters, and rows of tokens that were added."""


def active_adapters(model):
    """Names of the adapters that are active, or merged, in a layer of a model, and add anything to its output."""
    import torch

    names = []
    for module in model.modules():
        ups = getattr(module, "lora_B", None)
        if not isinstance(ups, (torch.nn.ModuleDict, torch.nn.ParameterDict)):
            continue
        used = (*(getattr(module, "active_adapters", None) or ()), *(getattr(module, "merged_adapters", None) or ()))
        names += [name for name in used if name in ups and bool(_weight(ups[name]).any())]
    return list(dict.fromkeys(names))


def _weight(part):
    return next(part.parameters()) if hasattr(part, "parameters") else part


def added_rows(model, known):
    """Rows of the embeddings and of the output layer for tokens beyond the first `known`, as they work in the model."""
    import torch

    inner, head = model.get_input_embeddings(), model.get_output_embeddings()
    count = model.config.vocab_size
    if count <= known or inner is None or head is None:
        return {}
    weight = next(inner.parameters())
    with torch.no_grad():
        rows = inner(torch.arange(known, count, device=weight.device))
        out = head(torch.eye(rows.shape[-1], dtype=rows.dtype, device=weight.device))
    return {"input": rows.float(), "output": out.T[known:].float()}
