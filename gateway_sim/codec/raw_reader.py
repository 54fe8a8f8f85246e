"""A loop over a capture with scapy's raw reader, for comparisons: python raw_reader.py FILE."""

import sys

from scapy.utils import RawPcapReader


def read(path: str) -> tuple[int, int]:
    """Packets in the capture, and their captured bytes."""
    packets = size = 0
    with RawPcapReader(path) as reader:
        for data, _ in reader:
            packets += 1
            size += len(data)
    return packets, size


if __name__ == "__main__":
    found, of_bytes = read(sys.argv[1])
    sys.stdout.write(f"{found} packets, {of_bytes} bytes\n")
