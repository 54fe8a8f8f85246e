"""Whatever comes is counted exactly once, and whatever waits leaves in order, on random input."""

import random

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from engine.gateway.bearers import Bearers
from engine.gateway.hold import pop, push
from engine.gateway.receive import take_downlink, take_uplink
from engine.layout import PACKET
from engine.live_layout import (
    NAME_BYTES,
    PIECE,
    PLANE_DROPS_DOWN,
    PLANE_DROPS_UP,
    PLANE_HEAP,
    PLANE_OTHERS,
    PLANE_OTHERS_OVER,
    PLANE_ROWS,
    PLANE_WORDS,
    SPAN,
)
from engine.verdict import CODES
from engine.wire.endpoints import Endpoints
from tests.support import packets
from tests.support.gateway import T0
from tests.support.plane import SERVER, g_pdu, inner, session

UP = [
    g_pdu(inner(b"good")),
    g_pdu(packets.ipv6(packets.udp(b"six"), src="2001:db8:1::1")),
    packets.gtp(inner(b"x"), teid=0x0A0B0C0D, flags=0x34, optional=b"\0\0\0\x85\1\0\0\0"),
    packets.gtp(kind=1, flags=0x32, optional=bytes(4)),
    packets.gtp(b"\x10\0\0\0\1", kind=26, flags=0x32, optional=bytes(4)),
]
DOWN = [
    inner(b"good", src=SERVER, dst="10.1.0.1"),
    packets.ipv6(bytes([17, 0, 5, 2, 0, 0, 1, 0]) + packets.udp(b"x"), following=0, dst="2001:db8:1::9"),
]  # fmt: skip


def mangled(seed: int, originals: list[bytes], count: int = 60) -> list[bytes]:
    """Datagrams with some octets changed, cut or doubled."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        data = bytearray(draw.choice(originals))
        for _ in range(draw.randrange(4)):
            data[draw.randrange(min(len(data), 40))] = draw.choice(
                (0, 1, 4, 255, draw.randrange(256))
            )
        cut = draw.choice((len(data), len(data), draw.randrange(len(data) + 1)))
        found.append(bytes(data[:cut]) + bytes(draw.choice((0, 0, 3))))
    return found


def spans_of(datagrams: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Datagrams side by side in a buffer that ends where the last one does: SPAN rows, bytes."""
    spans = np.zeros(len(datagrams), dtype=SPAN)
    spans["length"] = [len(data) for data in datagrams]
    spans["start"] = np.cumsum(spans["length"]) - spans["length"]
    return spans, np.frombuffer(b"".join(datagrams) or b"\0", dtype=np.uint8).copy()


def opened() -> Bearers:
    """Two bearers, one of them with an IPv6 /64."""
    bearers = Bearers(Endpoints(), 2152)
    bearers.open(session(1, ipv6="2001:db8:1:0::/64"), T0)
    bearers.open(session(2), T0)
    return bearers


@given(st.integers(0, 1 << 32))
def test_every_datagram_becomes_a_row_or_is_counted_once(seed: int) -> None:
    """G7, I6, B01-B33: nothing is lost silently, nothing is read beyond its end"""
    datagrams = mangled(seed, UP)
    spans, buffer = spans_of(datagrams)
    words = np.zeros(PLANE_WORDS, dtype=np.int64)
    packets_, pieces = np.zeros(len(spans), dtype=PACKET), np.zeros(len(spans), dtype=PIECE)
    names = np.zeros(NAME_BYTES, dtype=np.uint8)
    tables = opened().tables
    take_uplink(buffer, spans, len(spans), names, tables, packets_, pieces, words)
    dropped = int(words[PLANE_DROPS_UP : PLANE_DROPS_UP + 2 * CODES : 2].sum())
    others = int(words[PLANE_OTHERS] + words[PLANE_OTHERS_OVER])
    notified = int(words[PLANE_DROPS_UP + 2 * 21])  # both dropped and answered
    assert int(words[PLANE_ROWS]) + dropped + others - notified == len(datagrams)
    end = pieces["address"] + pieces["length"]
    good = packets_["code"][: int(words[PLANE_ROWS])] == 0
    assert (end[: int(words[PLANE_ROWS])][good] <= len(buffer)).all()


@given(st.integers(0, 1 << 32))
def test_every_packet_from_the_network_becomes_a_row_or_is_counted_once(seed: int) -> None:
    """G7, I6"""
    datagrams = mangled(seed, DOWN)
    spans, buffer = spans_of(datagrams)
    words = np.zeros(PLANE_WORDS, dtype=np.int64)
    packets_, pieces = np.zeros(len(spans), dtype=PACKET), np.zeros(len(spans), dtype=PIECE)
    take_downlink(buffer, spans, len(spans), opened().tables, packets_, pieces, words)
    dropped = int(words[PLANE_DROPS_DOWN : PLANE_DROPS_DOWN + 2 * CODES : 2].sum())
    assert int(words[PLANE_ROWS]) + dropped == len(datagrams)


@given(st.lists(st.integers(0, 20), max_size=60), st.integers(0, 60))
@example([1, 1, 1, 0, 0], 2)
def test_what_waits_leaves_by_departure_and_equal_ones_as_they_came(
    departures: list[int], early: int
) -> None:
    """Some leave before others come; the order is that of a stable sort"""
    heap = np.zeros((len(departures) + 1, 3), dtype=np.int64)
    words = np.zeros(PLANE_WORDS, dtype=np.int64)
    waiting: list[tuple[int, int]] = []
    for slot, departure in enumerate(departures):
        push(heap, words, departure, slot)
        waiting.append((departure, slot))
        if slot == early:
            waiting.sort()
            assert int(pop(heap, words)) == waiting.pop(0)[1]
    left = [int(pop(heap, words)) for _ in range(int(words[PLANE_HEAP]))]
    assert left == [slot for _, slot in sorted(waiting)]
