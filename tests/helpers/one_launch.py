"""Runs several scripts in the processes of one launch: `torchrun one_launch.py own_loop.py:ddp:folder ...`.

Each script runs unchanged; the process group is initialized once, before the first. Prints which process writes each
record.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from unittest import mock

from torch import distributed

from sft_ref.witnessing.record.create import UnwrittenRecord

write = UnwrittenRecord.write


def tell(taken: UnwrittenRecord, folder: Path) -> None:
    print(f"record of {folder.name} by {distributed.get_rank()}")
    write(taken, folder)


def main(runs: list[str]) -> None:
    distributed.init_process_group("gloo")
    with (
        mock.patch.object(distributed, "init_process_group"),
        mock.patch.object(distributed, "destroy_process_group"),
        mock.patch.object(UnwrittenRecord, "write", tell),
    ):
        for run in runs:
            script, *words = run.split(":")
            sys.argv = [script, *words]
            runpy.run_path(script, run_name="__main__")
            distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    sys.path.insert(0, "")
    main(sys.argv[1:])
