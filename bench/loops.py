"""Loops in Python over a capture, as one would write them with dpkt: python loops.py NAME FILE."""

import importlib
import sys
from typing import Any


def with_dpkt(path: str) -> tuple[int, int]:
    """Packets and bytes, by dpkt's reader."""
    pcap = importlib.import_module("dpkt").pcap

    packets = size = 0
    with open(path, "rb") as file:
        for _, data in pcap.Reader(file):
            packets += 1
            size += len(data)
    return packets, size


def with_dpkt_gtp(path: str) -> tuple[int, int]:
    """G-PDUs and the bytes in them, counted per TEID: dpkt parses up to UDP, TS 29.281 5.1 by hand."""
    dpkt = importlib.import_module("dpkt")

    tunnels: dict[bytes, list[int]] = {}
    with open(path, "rb") as file:
        for _, data in dpkt.pcap.Reader(file):
            outer: Any = dpkt.ethernet.Ethernet(data).data
            if not isinstance(outer, dpkt.ip.IP) or not isinstance(outer.data, dpkt.udp.UDP):
                continue
            gtp: bytes = bytes(outer.data.data)
            if outer.data.dport != 2152 or gtp[1] != 255:
                continue
            counts = tunnels.setdefault(gtp[4:8], [0, 0])
            counts[0] += 1
            counts[1] += int.from_bytes(gtp[2:4], "big")
    return sum(n for n, _ in tunnels.values()), sum(n for _, n in tunnels.values())


LOOPS = {"dpkt": with_dpkt, "dpkt-gtp": with_dpkt_gtp}

if __name__ == "__main__":
    found, of_bytes = LOOPS[sys.argv[1]](sys.argv[2])
    print(f"{found} packets, {of_bytes} bytes")
