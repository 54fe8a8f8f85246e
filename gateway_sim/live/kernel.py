"""What the kernel says of the UDP sockets of this machine: queues and losses, the gateway's included."""

import ipaddress
from pathlib import Path
from typing import NamedTuple

TABLE = Path("/proc/net/udp")


class Queue(NamedTuple):
    """The receiving side of a socket: bytes of memory that wait, datagrams lost for want of room."""

    waiting_bytes: int
    lost: int


def queues(table: Path = TABLE) -> dict[tuple[str, int], Queue]:
    """Queue of each UDP socket on IPv4, by its address and port; empty where the kernel does not say."""
    try:
        lines = table.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return {}
    found = {}
    for line in lines:
        words = line.split()
        address, port = words[1].split(":")
        # the kernel prints the address as an integer of the machine's own byte order
        packed = int(address, 16).to_bytes(4, "little")
        waiting = int(words[4].split(":")[1], 16)
        found[str(ipaddress.IPv4Address(packed)), int(port, 16)] = Queue(waiting, int(words[-1]))
    return found
