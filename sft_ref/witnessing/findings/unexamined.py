"""Lists the subjects that the first step does not show, because a trainer does not pass them to the model's forward."""

from __future__ import annotations

from .observation import FirstStep


def list_unexamined(step: FirstStep) -> dict[str, str]:
    """Maps the subjects of findings that could not be examined to the reason; the other findings are valid."""
    found = {}
    if not step.batches:
        found["labels"] = "no batch with input_ids reached the model's forward"
    elif not step.rows:
        found["labels"] = "no labels reached the model's forward: the trainer computes its own loss from them"
    if step.alignment is None:
        found["loss"] = (
            "labels are not known" if found else "the loss is not computed from the outputs of the output head"
        )
    if not step.plan.rates:
        found["schedule"] = "the planned learning rates are not known; the used ones are checked at the end"
    return found
