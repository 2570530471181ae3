"""Takes in one go more memory than it may have (here: 2 GiB)."""


def attack(target: dict[str, str]) -> None:
    block = bytearray(2 * 2**30)
    print("HARM: has", len(block), "bytes")
