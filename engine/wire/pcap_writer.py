"""Columns -> bytes: records of pcap files and blocks of pcapng files, a whole batch in one buffer.

All that is written is little-endian and stamped in nanoseconds (draft-ietf-opsawg-pcap 5,
draft-ietf-opsawg-pcapng 4). Frames are layout.FRAME rows with the bytes that they point into; `places`
says where in the buffer each goes, so that frames of several origins can be put in one order.
"""

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.jit import i8s, i8s2, inlined, kernel, rows, u1s, unsigned
from engine.layout import FRAME
from engine.units import NS_PER_S
from engine.wire.blocks import ENHANCED_BLOCK, INTERFACE_BLOCK, SECTION
from engine.wire.formats import BYTE_ORDER_MAGIC, OPTION_END, OPTION_TSRESOL
from engine.wire.frame import HELD_MAX

Rows = npt.NDArray[Any]

RECORD_BYTES = 16
"""header of a pcap record"""
BLOCK_HEADER_BYTES = 28
"""enhanced packet block: all that stands before the frame"""
BLOCK_EXTRA_BYTES = BLOCK_HEADER_BYTES + 4 + 4 + 4
"""the same, the comment's option header, the end of the options and the second block length"""
PCAP_LAST_NS = (1 << 32) * NS_PER_S - 1
"""the last time that a pcap record can be stamped with (7 February 2106); the first is 1970"""
PCAPNG_LAST_NS = (1 << 63) - 1
"""the last time that the engine can hold; a pcapng file could go on, and begins in 1970 too"""

_NANOSECOND_MAGIC = 0xA1B23C4D
_OPTION_COMMENT = 1
_NANOSECONDS = 9
"""if_tsresol: decimal digits of a second"""


def pcap_header(link: int) -> bytes:
    """What a pcap file of this link type begins with."""
    return struct.pack("<IHHiIII", _NANOSECOND_MAGIC, 2, 4, 0, 0, HELD_MAX, link)


def section_block() -> bytes:
    """What a pcapng file begins with."""
    return struct.pack("<IIIHHqI", SECTION, 28, BYTE_ORDER_MAGIC, 1, 0, -1, 28)


def interface_block(link: int) -> bytes:
    """The description of an interface of this link type that is stamped in nanoseconds."""
    options = struct.pack("<HHB3xHH", OPTION_TSRESOL, 1, _NANOSECONDS, OPTION_END, 0)
    size = 20 + len(options)
    return (
        struct.pack("<IIHHI", INTERFACE_BLOCK, size, link, 0, 0) + options + struct.pack("<I", size)
    )


def record_bytes(frames: Rows) -> npt.NDArray[np.int64]:
    """byte; size of each frame's record in a pcap file."""
    return frames["held"].astype(np.int64) + RECORD_BYTES


def block_bytes(frames: Rows, comment_bytes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """byte; size of each frame's block in a pcapng file, with a comment of so many bytes."""
    held = frames["held"].astype(np.int64)
    return ((held + 3) & ~3) + ((comment_bytes + 3) & ~3) + BLOCK_EXTRA_BYTES


@inlined
def put32(out: Any, at: Any, value: Any) -> None:
    """Four bytes, low one first."""
    out[unsigned(at)] = value & 255
    out[unsigned(at + 1)] = value >> 8 & 255
    out[unsigned(at + 2)] = value >> 16 & 255
    out[unsigned(at + 3)] = value >> 24 & 255


@inlined
def put_bytes(out: Any, at: Any, data: Any, start: Any, count: Any) -> None:
    """`count` bytes of `data` from `start` on."""
    for k in range(count):
        out[unsigned(at + k)] = data[unsigned(start + k)]


@inlined
def put_padded(out: Any, at: Any, data: Any, start: Any, count: Any) -> Any:
    """The same, filled up with zeros to a multiple of four; where they end."""
    put_bytes(out, at, data, start, count)
    for k in range(count, (count + 3) & ~3):
        out[unsigned(at + k)] = 0
    return at + ((count + 3) & ~3)


@inlined
def within(time_ns: Any, last_ns: Any) -> Any:
    """The nearest time from 1970 to the last one."""
    return min(time_ns, last_ns) if time_ns > 0 else np.int64(0)


@kernel(rows(FRAME), u1s, i8s, u1s)
def gather(frames: Any, data: Any, places: Any, out: Any) -> None:
    """The bytes of each frame to its place."""
    for k in range(len(frames)):
        frame = frames[k]
        put_bytes(out, places[k], data, np.int64(frame["start"]), np.int64(frame["held"]))


@kernel(rows(FRAME), u1s, i8s, u1s)
def write_records(frames: Any, data: Any, places: Any, out: Any) -> None:
    """A pcap record of each frame to its place; times outside of 1970 to 2106 become the nearest."""
    for k in range(len(frames)):
        frame = frames[k]
        at = places[k]
        held = np.int64(frame["held"])
        time_ns = within(np.int64(frame["time_ns"]), PCAP_LAST_NS)
        put32(out, at, time_ns // NS_PER_S)
        put32(out, at + 4, time_ns % NS_PER_S)
        put32(out, at + 8, held)
        put32(out, at + 12, np.int64(frame["wire"]))
        put_bytes(out, at + RECORD_BYTES, data, np.int64(frame["start"]), held)


@kernel(rows(FRAME), u1s, i8s, i8s, u1s, i8s2, u1s)
def write_blocks(
    frames: Any,
    data: Any,
    places: Any,
    interfaces: Any,
    comments: Any,
    spans: Any,
    out: Any,
) -> None:
    """An enhanced packet block of each frame to its place.

    interfaces: the number of each frame's interface; spans: int64[n, 2], offset and length of its comment
    in `comments`. Times before 1970 become 1970.
    """
    for k in range(len(frames)):
        frame = frames[k]
        at = places[k]
        held = np.int64(frame["held"])
        comment_bytes = spans[k, 1]
        time_ns = within(np.int64(frame["time_ns"]), PCAPNG_LAST_NS)
        size = BLOCK_EXTRA_BYTES + ((held + 3) & ~3) + ((comment_bytes + 3) & ~3)
        put32(out, at, ENHANCED_BLOCK)
        put32(out, at + 4, size)
        put32(out, at + 8, interfaces[k])
        put32(out, at + 12, time_ns >> 32)
        put32(out, at + 16, time_ns)
        put32(out, at + 20, held)
        put32(out, at + 24, np.int64(frame["wire"]))
        place = put_padded(out, at + BLOCK_HEADER_BYTES, data, np.int64(frame["start"]), held)
        put32(out, place, _OPTION_COMMENT | comment_bytes << 16)
        place = put_padded(out, place + 4, comments, spans[k, 0], comment_bytes)
        put32(out, place, OPTION_END)
        put32(out, place + 4, size)
