"""Opens sockets of families that lead out of the sandbox's own network, or far into the kernel."""

import contextlib
import socket

USUAL = {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK}


def attack(target: dict[str, str]) -> None:
    for family in set(range(50)) - USUAL:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_RAW):
            with contextlib.suppress(OSError), socket.socket(family, kind):
                print("HARM: has a socket of family", family)
