"""Sends what it knows to a listener (here: of the test, on loopback)."""

import contextlib
import socket


def attack(target: dict[str, str]) -> None:
    there = ("127.0.0.1", int(target["port"]))
    with contextlib.suppress(OSError), socket.create_connection(there, timeout=2) as line:
        line.sendall(b"the questions")
        print("HARM: sent")
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.sendto(b"the questions", there)
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as line:
        line.connect("\0" + target["abstract"])
        print("HARM: a local socket answers")
