"""Records and blocks of a whole batch in one buffer, against the same by hand, byte for byte."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.layout import FRAME
from engine.wire import pcap_writer as writer
from tests.support import packets

PARTS = st.lists(
    st.tuples(
        st.integers(0, 2**63 - 1), st.binary(max_size=40), st.integers(0, 500), st.text(max_size=9)
    ),
    max_size=12,
)
LAST_NS = 2**32 * 10**9 - 1


def frames_of(contents: list[Any]) -> tuple[Any, Any]:
    """FRAME rows of (time, bytes, more bytes on the wire, …), and their bytes with gaps between them."""
    rows = np.zeros(len(contents), dtype=FRAME)
    data = bytearray(b"\xee")
    for row, (time_ns, content, more, *_) in zip(rows, contents, strict=True):
        row["time_ns"], row["start"] = time_ns, len(data)
        row["held"], row["wire"] = len(content), len(content) + more
        data += content + b"\xee"
    return rows, np.frombuffer(data, dtype=np.uint8)


def places_of(sizes: Any, turned: bool) -> Any:
    """Where each goes: in order, or the last one first."""
    if turned:
        return (np.cumsum(sizes[::-1]) - sizes[::-1])[::-1].copy()
    return np.cumsum(sizes) - sizes


@given(contents=PARTS, turned=st.booleans())
def test_records_are_those_of_the_format(contents: list[Any], turned: bool) -> None:
    """P4, G8: draft-ietf-opsawg-pcap 5"""
    rows, data = frames_of(contents)
    sizes = writer.record_bytes(rows)
    out = np.full(int(sizes.sum()), 0xAA, dtype=np.uint8)
    writer.write_records(rows, data, places_of(sizes, turned), out)
    expected = [
        packets.record(at_ns // 10**9, at_ns % 10**9, content, len(content) + more)
        for at_ns, content, more in ((min(t, LAST_NS), c, m) for t, c, m, _ in contents)
    ]
    assert out.tobytes() == b"".join(expected[::-1] if turned else expected)


@given(contents=PARTS, turned=st.booleans())
def test_blocks_are_those_of_the_format(contents: list[Any], turned: bool) -> None:
    """draft-ietf-opsawg-pcapng 4.3: comments and frames of any length are padded with zeros"""
    rows, data = frames_of(contents)
    comments = [text.encode() for *_, text in contents]
    lengths = np.array([len(text) for text in comments], dtype=np.int64)
    spans = np.stack([np.cumsum(lengths) - lengths, lengths], axis=1)
    sizes = writer.block_bytes(rows, lengths)
    numbers = np.arange(len(contents))
    out = np.full(int(sizes.sum()), 0xAA, dtype=np.uint8)
    texts = np.frombuffer(bytearray(b"".join(comments)), dtype=np.uint8)
    writer.write_blocks(rows, data, places_of(sizes, turned), numbers, texts, spans, out)
    expected = []
    for number, (time_ns, content, more, text) in enumerate(contents):
        head = struct.pack("<III", number, time_ns >> 32, time_ns & 0xFFFFFFFF)
        body = head + struct.pack("<II", len(content), len(content) + more)
        body += content + bytes(-len(content) % 4)
        expected.append(
            packets.block(6, body + packets.option(1, text.encode()) + packets.option(0, b""))
        )
    assert out.tobytes() == b"".join(expected[::-1] if turned else expected)


def test_headers_are_those_of_the_formats() -> None:
    """link type, nanoseconds, and the longest frame that is ever read"""
    header = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 113)
    assert writer.pcap_header(113) == header
    assert writer.section_block() == packets.section()
    options = packets.option(9, b"\x09") + packets.option(0, b"")
    assert writer.interface_block(113) == packets.interface(113, options=options)


@pytest.mark.parametrize(
    ("time_ns", "stamped"),
    [
        (-1, 0),
        (-(2**63), 0),
        (0, 0),
        (LAST_NS, LAST_NS),
        (LAST_NS + 1, LAST_NS),
        (2**63 - 1, LAST_NS),
    ],
)
def test_times_that_a_file_cannot_hold_become_the_nearest(time_ns: int, stamped: int) -> None:
    """B58: 1970, and the 32 bits of 2106; pcapng goes on to the end of the engine's own"""
    rows, data = frames_of([(0, b"abc", 0)])
    rows["time_ns"] = time_ns
    nowhere = np.zeros(1, dtype=np.int64)
    out = np.zeros(19, dtype=np.uint8)
    writer.write_records(rows, data, nowhere, out)
    assert out.tobytes() == packets.record(*divmod(stamped, 10**9), b"abc", 3)
    block = np.zeros(int(writer.block_bytes(rows, nowhere)[0]), dtype=np.uint8)
    spans = np.zeros((1, 2), dtype=np.int64)
    writer.write_blocks(rows, data, nowhere, nowhere, data, spans, block)
    high, low = struct.unpack_from("<II", block.tobytes(), 12)
    assert high << 32 | low == max(0, time_ns)


def test_bytes_are_gathered_at_their_places() -> None:
    rows, data = frames_of([(0, b"abc", 0), (0, b"", 0), (0, b"de", 0)])
    out = np.zeros(6, dtype=np.uint8)
    writer.gather(rows, data, np.array([3, 3, 0]), out)
    assert out.tobytes() == b"de\0abc"
