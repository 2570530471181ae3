"""Checks which parameters are trained."""

from __future__ import annotations

from collections.abc import Iterator

from .observation import FirstStep, TrainingFault, listed, share


def check_adapter_is_trained(step: FirstStep) -> Iterator[TrainingFault]:
    """Reports adapter parameters that are frozen, or not in the optimizer."""
    adapter = step.adapter
    frozen = [each.name for each in adapter if not each.is_trainable]
    if frozen:
        yield TrainingFault(
            f"{share(len(frozen), len(adapter), 'tensors')} of the adapter are frozen ({listed(frozen)})",
            "to train an adapter further, load it with is_trainable=True, and freeze nothing after get_peft_model",
            is_fatal=len(frozen) == len(adapter),
        )
    trainable = [each for each in adapter if each.is_trainable]
    outside = [each.name for each in trainable if not each.is_in_optimizer]
    if outside:
        yield TrainingFault(
            f"the optimizer does not hold {share(len(outside), len(trainable), 'tensors')} of the adapter"
            f" ({listed(outside)})",
            "make the optimizer after the adapter is put on the model, from the parameters with requires_grad",
            is_fatal=len(outside) == len(trainable),
        )


def check_base_is_frozen(step: FirstStep) -> Iterator[TrainingFault]:
    """Reports base parameters that are trained together with the adapter, and not saved with it."""
    if not step.adapter:
        return
    trained = [
        each.name for each in step.parameters if not each.is_adapter and each.is_trainable and each.is_in_optimizer
    ]
    if trained:
        yield TrainingFault(
            f"{len(trained)} tensors of the base are trained beside the adapter ({listed(trained)}), and are not saved"
            " with it",
            "freeze the base, or name such modules in modules_to_save",
        )


CHECKS = (check_adapter_is_trained, check_base_is_frozen)
