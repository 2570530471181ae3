"""The log shows the mean of all losses so far."""

from typing import Any

from mutation import Mutant

from sft_ref.reference.guards.progress import History


class Averaging(History):
    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        seen = [entry["loss"] for entry in state.log_history if "loss" in entry]
        if "loss" in state.log_history[-1]:
            state.log_history[-1]["loss"] = (seen[-1] + 9 * seen[-2]) / 10 if len(seen) > 1 else seen[-1]
        super().on_log(args, state, control, **kwargs)


MUTANT = Mutant(
    id="running-mean",
    stage="train",
    checks=("TRN-023",),
    fault="the reported loss is a running mean",
    source="our own; no known report",
    patches={"sft_ref.reference.training.History": Averaging},
    retrain=True,
)
