"""The entry point: reads a request, and runs its command. Libraries are imported only where crashes are recorded."""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path

from .results import ResultWriter


def main() -> None:
    """Reads one request from standard input, and runs its command."""
    request = json.loads(sys.stdin.read())
    sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115  # open until the process ends
    os.environ.setdefault("TQDM_DISABLE", "1")  # progress bars and notes of libraries only fill the output
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    sys.dont_write_bytecode = True
    writer = ResultWriter(request["out"], request["root"], request["nonce"])
    os.chdir(request["root"])
    try:
        with writer.section("start"):
            gc.disable()  # searching what libraries create takes a sixth of the time of their import
            from .commands import ask, train

            gc.freeze()  # nor is it searched later; Trainer does so before each training
            gc.enable()
            {"train": train, "ask": ask}[request["command"]](request, writer)
    finally:
        writer.write("end", notes=writer.notes)
