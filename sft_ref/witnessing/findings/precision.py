"""Checks modes and dtypes of the model in training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from .observation import FirstStep, TrainingFault, listed, share


def check_mode(step: FirstStep) -> Iterator[TrainingFault]:
    """Reports a model, or dropout modules, in evaluation mode."""
    evaluating = [batch for batch in step.batches if not batch.is_training]
    if evaluating:
        yield TrainingFault(
            f"the model is in evaluation mode in {share(len(evaluating), len(step.batches), 'forwards')} of the first"
            " step: dropout does nothing",
            "call model.train() before the loop, and again after each evaluation",
        )
    elif step.dropout_in_eval_mode:
        yield TrainingFault(
            f"dropout of {len(step.dropout_in_eval_mode)} modules is in evaluation mode"
            f" ({listed(step.dropout_in_eval_mode)})",
            "call model.train() after the adapter is put on the model",
        )


def check_dtypes(step: FirstStep) -> Iterator[TrainingFault]:
    """Reports unsuitable combinations of the dtypes of adapter, base model and autocast."""
    adapter = Counter(each.dtype for each in step.adapter if each.is_trainable)
    base = {each.dtype for each in step.parameters if not each.is_adapter}
    if len(adapter) > 1:
        yield TrainingFault(
            f"the adapter's tensors have several dtypes ({', '.join(sorted(adapter))})",
            "cast them all to float32, as autocast_adapter_dtype=True does",
        )
    if adapter["float16"]:
        yield TrainingFault(
            f"{share(adapter['float16'], adapter.total(), 'tensors')} of the adapter are trained in float16: small"
            " gradients and steps are lost",
            "keep the adapter in float32 (autocast_adapter_dtype=True), and let autocast compute in 16 bits",
        )
    other = {"float16", "bfloat16"} - {step.autocast}
    if step.autocast and base & other:
        yield TrainingFault(
            f"autocast computes in {step.autocast} over a base that is stored in {', '.join(sorted(base & other))}",
            "load the base in float32 or in the dtype of autocast",
        )


CHECKS = (check_mode, check_dtypes)
