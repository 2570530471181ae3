"""Losses, models, optimizers and schedules of trainings: faulty ones, and unusual ones without a fault."""

from __future__ import annotations

from typing import Any

import torch
import witnessed
from transformers.modeling_outputs import CausalLMOutput
from witnessed import Batch, adamw, adapted_toy, load_toy, no_warnings


def whole_loss(model: Any, batch: Batch) -> torch.Tensor:
    """Returns the cross-entropy of every token, regardless of the labels."""
    logits = model(**batch).logits
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch["input_ids"][:, 1:].flatten())


def negative_loss(model: Any, batch: Batch) -> torch.Tensor:
    return -witnessed.own_loss(model, batch)


def written_loss(model: Any, batch: Batch) -> torch.Tensor:
    """Returns the labels' cross-entropy in a usual hand-written form, with label smoothing."""
    logits = model(**batch).logits[:, :-1].flatten(0, 1)
    return torch.nn.functional.cross_entropy(logits, batch["labels"][:, 1:].flatten(), label_smoothing=0.1)


def frozen_adapter() -> Any:
    model = adapted_toy()
    for name, each in model.named_parameters():
        if "layers.0" in name:
            each.requires_grad_(requires_grad=False)
    return model


def half_optimizer(model: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW([p for n, p in model.named_parameters() if "lora_A" in n and p.requires_grad], lr=1e-3)


def base_optimizer(model: Any) -> torch.optim.Optimizer:
    """Makes an optimizer as before the adapter was added to the model, without the adapter's parameters."""
    return torch.optim.AdamW([p for n, p in model.named_parameters() if "lora_" not in n], lr=1e-3)


def foreign_optimizer(_model: Any) -> torch.optim.Optimizer:
    """Makes an optimizer of parameters that are not the model's."""
    parameter = torch.nn.Parameter(torch.zeros(3))
    parameter.grad = torch.ones(3)
    return torch.optim.AdamW([parameter], lr=1e-3)


def trained_base() -> Any:
    model = adapted_toy()
    model.get_input_embeddings().weight.requires_grad_()
    return model


def saved_modules() -> Any:
    """Returns a model with modules that are trained as a whole and saved with the adapter."""
    return adapted_toy(modules_to_save=["up_proj"], target_modules=["q_proj"])


def checkpointed(*, reentrant: bool) -> Any:
    def make() -> Any:
        model = adapted_toy()
        with no_warnings():
            model.get_base_model().gradient_checkpointing_enable({"use_reentrant": reentrant})
        model.get_base_model().disable_input_require_grads()  # older versions do not enable it
        return model

    return make


def fused(*, reentrant: bool) -> Any:
    """Makes a checkpointed model whose loss bypasses the output head's module, like fused kernels."""

    def make() -> Any:
        model = checkpointed(reentrant=reentrant)()
        base = model.get_base_model()

        def forward(labels: Any, **inputs: Any) -> Any:
            hidden = base.model(**{name: each for name, each in inputs.items() if each is not None}).last_hidden_state
            logits = torch.nn.functional.linear(hidden, base.lm_head.weight)
            return CausalLMOutput(base.loss_function(logits, labels, vocab_size=logits.shape[-1]))

        base.forward = forward
        return model

    return make


def checkpointed_with_input_gradients() -> Any:
    model = checkpointed(reentrant=True)()
    model.enable_input_require_grads()
    return model


def zeroed(model: Any) -> Any:
    for name, each in model.named_parameters():
        if "lora_A" in name:
            each.data.zero_()
    return model


def evaluating() -> Any:
    return adapted_toy(lora_dropout=0.1).eval()


def sleeping() -> Any:
    model = adapted_toy(lora_dropout=0.1)
    for name, module in model.named_modules():
        if "layers.1" in name and isinstance(module, torch.nn.Dropout):
            module.eval()
    return model


def nan_loss(model: Any, batch: Batch) -> torch.Tensor:
    return witnessed.own_loss(model, batch) * torch.nan


def mixed_dtypes() -> Any:
    model = adapted_toy()
    for name, each in model.named_parameters():
        if "lora_A" in name:
            each.data = each.data.bfloat16()
    return model


def with_biases() -> Any:
    base = load_toy()
    for module in base.modules():
        if isinstance(module, torch.nn.Linear) and module is not base.lm_head:
            module.bias = torch.nn.Parameter(torch.zeros(module.out_features))
    return base


def in_bfloat16() -> Any:
    return load_toy(torch.bfloat16)


def until(last: int) -> Any:
    """Returns a schedule that falls to zero at a step."""
    return lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / last))


def unused() -> Any:
    """Returns a model that skips the feed-forward of its last layer."""
    model = adapted_toy()
    model.get_base_model().model.layers[2].mlp.forward = torch.zeros_like
    return model


class TwoOptimizers:
    """An optimizer with which a discriminator is trained in turn with the model."""

    def __call__(self, model: Any) -> torch.optim.Optimizer:
        other = torch.nn.Parameter(torch.zeros(3))
        other.grad = torch.ones(3)
        optimizer, foreign = adamw(model), torch.optim.SGD([other], lr=0.1)
        optimizer.register_step_pre_hook(lambda *_: foreign.step())
        return optimizer


def compiled() -> Any:
    return torch.compile(adapted_toy(), backend="eager")


def against_base(model: Any, batch: Batch) -> torch.Tensor:
    """Returns the labels' cross-entropy plus the distance from the base, which runs without `no_grad`."""
    with model.disable_adapter():
        base = model(**batch).logits
    output = model(**batch)
    distance = (output.logits.log_softmax(-1).exp() - base.log_softmax(-1).exp()).pow(2).mean()
    loss: torch.Tensor = output.loss + 1e-3 * distance
    return loss
