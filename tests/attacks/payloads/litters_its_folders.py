"""Leaves all that a folder can hold and no adapter does: each would hang, fill or crash a careless reader."""

import os
import socket
from pathlib import Path

MANY, DEEP = 20_000, 3_000


def attack(target: dict[str, str]) -> None:
    output = Path("homework/sft_model")
    output.mkdir(parents=True, exist_ok=True)
    (output / "adapter_config.json").write_text("[" * 100_000)
    os.mkfifo(output / "adapter_model.safetensors")
    os.mkfifo("homework/added.py")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("homework/socket")
    (output / "checkpoint-1" / "adapter_config.json").mkdir(parents=True)
    loop = output / "checkpoint-2"
    loop.symlink_to(loop.absolute())
    for number in range(8):
        with (output / f"sparse{number}.safetensors").open("wb") as file:
            file.truncate(300 * 2**20)
    here = os.getcwd()
    os.chdir(output)
    for _ in range(DEEP):  # no path of it can be written down
        os.mkdir("deep")
        os.chdir("deep")
    os.chdir(here)
    many = output.with_name("zzz")
    many.mkdir()
    for number in range(MANY):
        (many / str(number)).touch()
    closed = output / "closed"
    closed.mkdir()
    (closed / "file").touch()
    closed.chmod(0)
