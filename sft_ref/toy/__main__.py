"""``python -m sft_ref.toy [FOLDER]``: makes the toy again, by default in the package folder."""

import sys
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .recipe import STEPS, make_toy


def main(arguments: list[str]) -> int:
    """Makes the toy and shows progress; returns 2 on more than one argument or an option."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    folder = Path(arguments[0]) if arguments else Path(__file__).parent
    torch.set_num_threads(1)  # a second thread gains little on batches this small, and one keeps the order of sums
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("learning the tokenizer", total=STEPS)

        def show(step: int, loss: float) -> None:
            progress.update(task, completed=step, description=f"pre-training, loss {loss:.2f}")

        make_toy(folder, show)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
