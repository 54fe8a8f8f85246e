"""Writes the benchmark's capture: G-PDUs of many SIMs, 430 bytes of inner IP on average.

    python -m bench.capture FILE [--packets N] [--sims N] [--sizes mix|BYTES]

Ethernet, IPv4, UDP, GTP-U, IPv4, UDP, zeros. SIM i has the address 10.0.0.0 + i, the uplink TEID
0x10000 + 2i and the downlink TEID after it. Frames are stamped from templates with numpy; checksums
of the IPv4 headers are right, so that other programs read the capture too.
"""

import argparse
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench import draw

PACKETS = 2_400_000
"""1.2 GB as they lie in the file, 1.03 GB of inner IP"""
SIMS = 1_000
CHUNK_PACKETS = 50_000
START_S = 1_383_616_800  # 2013-11-05 11:00 JST
STEP_US = 100
SIZES = np.array(draw.MIXED_BYTES, dtype=np.int64)
"""bytes of inner IP: 430 on average"""

RECORD = 16
OUTER = 14 + 20 + 8 + 8
INNER = 20 + 8
HEADERS = RECORD + OUTER + INNER
SGW = bytes((192, 0, 2, 1))
PGW = bytes((192, 0, 2, 129))
SERVER = bytes((198, 51, 100, 7))

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


class Chunk(NamedTuple):
    """Columns of some packets, in time order."""

    number: Ints
    sim: Ints
    up: npt.NDArray[np.bool_]
    length: Ints


def _template() -> Bytes:
    ethernet = bytes(12) + b"\x08\x00"
    outer = struct.pack(">BBHHHBBH", 0x45, 0, 0, 0, 0, 64, 17, 0) + bytes(8)
    udp = struct.pack(">HHHH", 2152, 2152, 0, 0)
    gtp = struct.pack(">BBHI", 0x30, 255, 0, 0)
    inner = struct.pack(">BBHHHBBH", 0x45, 0, 0, 0, 0x4000, 64, 17, 0) + bytes(8)
    inner_udp = struct.pack(">HHHH", 40_000, 40_000, 0, 0)
    headers = bytes(RECORD) + ethernet + outer + udp + gtp + inner + inner_udp
    return np.frombuffer(headers, dtype=np.uint8)


def _put(rows: Bytes, at: int, value: Ints, width: int, little: bool = False) -> None:
    for k in range(width):
        shift = 8 * k if little else 8 * (width - 1 - k)
        rows[:, at + k] = value >> shift & 0xFF


def _seal(rows: Bytes, at: int) -> None:
    """Fill in the checksum of the IPv4 header at `at` (RFC 791 3.1)."""
    words = rows[:, at : at + 20].astype(np.int64).reshape(len(rows), 10, 2)
    total = (words[:, :, 0] << 8 | words[:, :, 1]).sum(axis=1)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    _put(rows, at + 10, 0xFFFF - total, 2)


def _addresses(rows: Bytes, at: int, up: Any, near: Bytes, far: Bytes) -> None:
    """Source and destination of the IPv4 header at `at`: from `near` to `far` on the uplink."""
    rows[:, at + 12 : at + 16] = np.where(up[:, None], near, far)
    rows[:, at + 16 : at + 20] = np.where(up[:, None], far, near)


def _headers(chunk: Chunk) -> Bytes:
    rows = np.tile(_template(), (len(chunk.number), 1))
    frame = chunk.length + OUTER
    time_us = chunk.number * STEP_US
    for at, value in (
        (0, START_S + time_us // 1_000_000),
        (4, time_us % 1_000_000),
        (8, frame),
        (12, frame),
    ):
        _put(rows, at, value, 4, little=True)
    ip, gtp, inner = RECORD + 14, RECORD + 42, RECORD + OUTER
    _put(rows, ip + 2, chunk.length + 36, 2)
    _put(rows, ip + 4, chunk.number & 0xFFFF, 2)
    _addresses(rows, ip, chunk.up, np.frombuffer(SGW, np.uint8), np.frombuffer(PGW, np.uint8))
    _put(rows, ip + 24, chunk.length + 16, 2)
    _put(rows, gtp + 2, chunk.length, 2)
    _put(rows, gtp + 4, 0x10000 + 2 * chunk.sim + ~chunk.up, 4)
    _put(rows, inner + 2, chunk.length, 2)
    _put(rows, inner + 4, chunk.number & 0xFFFF, 2)
    terminal = np.empty((len(rows), 4), dtype=np.uint8)
    _put(terminal, 0, (10 << 24) + chunk.sim, 4)
    _addresses(rows, inner, chunk.up, terminal, np.frombuffer(SERVER, np.uint8))
    _put(rows, inner + 24, chunk.length - 20, 2)
    _seal(rows, ip)
    _seal(rows, inner)
    return rows


def _frames(chunk: Chunk) -> Bytes:
    ends = np.cumsum(chunk.length + RECORD + OUTER)
    starts = ends - chunk.length - RECORD - OUTER
    out = np.zeros(int(ends[-1]), dtype=np.uint8)
    out[starts[:, None] + np.arange(HEADERS)] = _headers(chunk)
    return out


def write(path: Path, packets: int = PACKETS, sims: int = SIMS, sizes: Ints = SIZES) -> None:
    """Write a capture of `packets` G-PDUs; the same numbers give the same bytes.

    `sizes`: bytes of inner IP, drawn with equal chances; 28 or more.
    """
    random = np.random.Generator(np.random.PCG64(7))
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))
        for first in range(0, packets, CHUNK_PACKETS):
            count = min(CHUNK_PACKETS, packets - first)
            chunk = Chunk(
                np.arange(first, first + count),
                random.integers(0, sims, count),
                random.integers(0, 2, count) == 0,
                sizes[random.integers(0, len(sizes), count)],
            )
            file.write(_frames(chunk).data)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="write the benchmark's capture")
    parser.add_argument("file", type=Path)
    parser.add_argument("--packets", type=int, default=PACKETS)
    parser.add_argument("--sims", type=int, default=SIMS)
    parser.add_argument(
        "--sizes", default=draw.MIX, help="mix (430 on average), or bytes, 40 to 1400"
    )
    options = parser.parse_args()
    try:
        sizes = np.array(draw.sizes_of(options.sizes), dtype=np.int64)
    except ValueError as error:
        parser.error(str(error))
    write(options.file, options.packets, options.sims, sizes)


if __name__ == "__main__":
    main()
