"""A capture of any length from a short one: its packets again and again, their times going steadily on.

    python -m bench.growth_stream FILE --times N [--held BYTES] [--step-us US] > LONG

A block of packets is read once, cut to `--held` captured bytes a frame (the lengths on the wire and in the
headers stay, so that it is billed as the whole packets would be), and stamped `--step-us` apart. It is
then written `--times` times; between two times only the seconds of its records are moved on. Files are
the little-endian pcap with microseconds that bench.capture writes.
"""

import argparse
import contextlib
import fcntl
import os
import struct
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

FILE_HEADER_BYTES = 24
RECORD_BYTES = 16
MAGIC = 0xA1B2C3D4
STEP_US = 3_000
"""100 million packets take three and a half days: the ends of days are among them"""
US_PER_S = 1_000_000
PIPE_BYTES = 1 << 20

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


def _records(data: bytes, path: Path) -> Ints:
    """Offsets of the records of a pcap file, in its bytes, and the end of the last."""
    if len(data) < FILE_HEADER_BYTES or struct.unpack_from("<I", data)[0] != MAGIC:
        raise SystemExit(f"bench: {path}: not a little-endian pcap with microseconds")
    starts = [FILE_HEADER_BYTES]
    while starts[-1] < len(data):
        (held,) = struct.unpack_from("<I", data, starts[-1] + 8)
        starts.append(starts[-1] + RECORD_BYTES + held)
    if starts[-1] != len(data) or len(starts) < 2:
        raise SystemExit(f"bench: {path}: empty or broken off")
    return np.array(starts, dtype=np.int64)


class Block:
    """Packets that are written many times. `header`: what begins the file; `packets` a block.

    `seconds` of time pass from one writing to the next.
    """

    def __init__(self, path: Path, held_bytes: int | None = None, step_us: int = STEP_US) -> None:
        whole = path.read_bytes()
        starts = _records(whole, path)
        self.header = whole[:FILE_HEADER_BYTES]
        self.packets = len(starts) - 1
        span_us = self.packets * step_us
        if span_us % US_PER_S:
            raise SystemExit(f"bench: {self.packets} packets, {step_us} us each: not whole seconds")
        self.seconds = span_us // US_PER_S
        held = np.diff(starts) - RECORD_BYTES
        if held_bytes is not None:
            held = np.minimum(held, held_bytes)
        source = np.frombuffer(whole, dtype=np.uint8)
        self._at = np.concatenate([[0], np.cumsum(held + RECORD_BYTES)])
        self.data: Bytes = _cut(source, starts[:-1], self._at)
        self._at = self._at[:-1]
        first_s = struct.unpack_from("<I", whole, FILE_HEADER_BYTES)[0]
        time_us = np.arange(self.packets, dtype=np.int64) * step_us
        self._second: Ints = first_s + time_us // US_PER_S
        self._put(4, time_us % US_PER_S)
        self._put(8, held)
        self._even = len(set(held.tolist())) == 1
        self.stamp(0)

    def _put(self, offset: int, value: Ints) -> None:
        for k in range(4):
            self.data[self._at + offset + k] = value >> 8 * k & 0xFF

    def stamp(self, number: int) -> None:
        """The seconds of time stamps for the writing of this number, from 0 on."""
        second = self._second + number * self.seconds
        if self._even:  # all records are as long: one strided view
            size = int(self.data.size) // self.packets
            view: npt.NDArray[np.uint32] = np.ndarray(
                self.packets, "<u4", self.data.data, 0, (size,)
            )
            view[:] = second
        else:
            self._put(0, second)

    def write(self, out: int, times: int) -> None:
        """Write the file header and the block `times` times to the descriptor."""
        _all(out, self.header)
        for number in range(times):
            self.stamp(number)
            _all(out, self.data.data)


def _cut(source: Bytes, starts: Ints, at: Ints) -> Bytes:
    """The records at `starts` of `source`, moved together to begin and end at `at`."""
    out = np.empty(int(at[-1]), dtype=np.uint8)
    for start, first, last in zip(starts.tolist(), at[:-1].tolist(), at[1:].tolist(), strict=True):
        out[first:last] = source[start : start + last - first]
    return out


def _all(out: int, data: "bytes | memoryview[int]") -> None:
    rest = memoryview(data)
    while len(rest):
        rest = rest[os.write(out, rest) :]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="write a short capture many times over")
    parser.add_argument("file", type=Path)
    parser.add_argument("--times", type=int, required=True)
    parser.add_argument("--held", type=int, help="captured bytes a frame; without: all of them")
    parser.add_argument("--step-us", type=int, default=STEP_US, help=f"(default {STEP_US})")
    options = parser.parse_args()
    block = Block(options.file, options.held, options.step_us)
    out = sys.stdout.fileno()
    with contextlib.suppress(OSError):  # where it is a pipe, a large one
        fcntl.fcntl(out, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    try:
        block.write(out, options.times)
    except BrokenPipeError:
        sys.exit(1)  # the reader has gone, and says why


if __name__ == "__main__":
    main()
