"""What attackers put into tunnels, in bulk: frames from templates, and what a gateway makes of them.

Packet number k of an attack is due at `begin + k / rate`; whatever varies is drawn by its number, so
that the frames do not depend on how many are made at once.
"""

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.units import NS_PER_S
from gateway_sim.codec.headers import OUTER_BYTES, template
from gateway_sim.scenario import UDP, Attack, Scenario
from gateway_sim.traffic import malformed
from gateway_sim.traffic.draw import Ints, Streams
from gateway_sim.traffic.headers import Bytes, packed_address
from gateway_sim.traffic.stamp import Frames, fold

BLOCK = 1 << 14
"""packets of one random source"""
SALT = 0xA77AC
"""keeps the sources of attacks apart from those of flows and lines"""
INNER = OUTER_BYTES
SOURCE, TARGET, UPPER = INNER + 12, INNER + 16, INNER + 20
TEID = OUTER_BYTES - 4
PAYLOAD_BYTES = 36
LATER_FRAGMENT = 0x00B9
"""offset 1480, no more to come: the first fragment never was"""
STRANGERS = ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "198.51.100.7")
PASSED = "passed"
"""instead of a reason: a gateway forwards it"""


class Field(NamedTuple):
    """The lines that are abused, and the nodes between which it happens."""

    sgw: bytes
    pgw: bytes
    teids: npt.NDArray[np.uint32]
    addresses: npt.NDArray[np.uint32]
    taken: npt.NDArray[np.uint32]  # every TEID of the scenario
    server: bytes

    @classmethod
    def of(cls, scenario: Scenario) -> "Field":
        """Of all lines with an IPv4 address; fragments go to the first server of the first activity."""
        lines = [line for line in scenario.lines() if ":" not in line.addresses[0]]
        used = {activity.server.address for line in lines[:1] for activity in line.activities[:1]}
        teids = [(line.teid_up, line.teid_down, line.teid_moved) for line in scenario.lines()]
        return cls(
            _packed(scenario.sgw),
            _packed(scenario.pgw),
            np.array([line.teid_up for line in lines], np.uint32),
            _addresses([line.addresses[0] for line in lines]),
            np.array(teids, np.uint32).ravel(),
            _packed(next(iter(used), scenario.pgw)),
        )


def _addresses(texts: list[str]) -> npt.NDArray[np.uint32]:
    octets = b"".join(packed_address(text) for text in texts)
    return np.frombuffer(octets, ">u4").astype(np.uint32)


def _packed(address: str) -> bytes:
    return ipaddress.IPv4Address(address).packed


def frame(field: Field, payload: bytes) -> bytes:
    """Ethernet, IPv4 and UDP from the S-GW to the P-GW around a GTP-U message."""
    made = bytearray(template(False, UDP)[: OUTER_BYTES - 8]) + payload
    made[16:18] = (len(made) - 14).to_bytes(2, "big")
    made[26:34] = field.sgw + field.pgw
    made[38:40] = (len(made) - 34).to_bytes(2, "big")
    words = np.frombuffer(bytes(made[14:34]), ">u2").astype(np.int64)
    made[24:26] = int(fold(words.sum())).to_bytes(2, "big")
    return bytes(made)


def inner(target: bytes, port: int, payload: bytes) -> bytes:
    """A UDP packet without source and checksums; `sealed` puts in that of IP."""
    made = bytearray(template(False, UDP)[OUTER_BYTES:]) + payload
    made[2:4] = len(made).to_bytes(2, "big")
    made[16:20] = target
    made[20:26] = (
        (40_000).to_bytes(2, "big") + port.to_bytes(2, "big") + (len(made) - 20).to_bytes(2, "big")
    )
    return bytes(made)


def _abused(field: Field, lot: Ints, packet: bytes) -> Bytes:
    """The packet as the terminal of a drawn line would send it, in that line's tunnel."""
    line = lot % field.teids.size
    whole = frame(field, malformed.message(bytes(4), packet))
    rows = np.tile(np.frombuffer(whole, np.uint8), (lot.size, 1))
    _put32(rows, TEID, field.teids[line])
    _put32(rows, SOURCE, field.addresses[line])
    return rows


def _put32(rows: Bytes, at: int, value: npt.NDArray[np.uint32]) -> None:
    rows[:, at : at + 4] = value.astype(">u4").view(np.uint8).reshape(-1, 4)


def _sealed(rows: Bytes) -> Bytes:
    """With the checksum of the inner IPv4 header."""
    words = np.ascontiguousarray(rows[:, INNER : INNER + 20]).view(">u2").astype(np.int64)
    words[:, 5] = 0
    seal = fold(words.sum(axis=1)).astype(">u2")
    rows[:, INNER + 10 : INNER + 12] = seal.view(np.uint8).reshape(-1, 2)
    return rows


def _spoofed(field: Field, lot: Ints) -> Bytes:
    """Sources of nobody, and of other lines (B17)."""
    rows = _abused(field, lot, inner(_packed("198.18.0.80"), 443, bytes(PAYLOAD_BYTES)))
    strangers = np.array([int(ipaddress.IPv4Address(text)) for text in STRANGERS], np.uint32)
    others = np.append(strangers, field.addresses[:1])
    chosen = others[(lot >> 20) % others.size]
    own = chosen == field.addresses[lot % field.addresses.size]
    _put32(rows, SOURCE, np.where(own, strangers[0], chosen))
    return _sealed(rows)


def _unknown(field: Field, lot: Ints) -> Bytes:
    """TEIDs of no session, 0 and all ones among them (B19, B20)."""
    rows = _abused(field, lot, inner(_packed("198.18.0.80"), 443, bytes(PAYLOAD_BYTES)))
    teid = (lot >> 4).astype(np.uint32)
    teid = np.where(lot % 16 == 0, np.uint32(0), np.where(lot % 16 == 1, ~np.uint32(0), teid))
    _put32(rows, TEID, np.where(np.isin(teid, field.taken), np.uint32(0), teid))
    _put32(rows, SOURCE, np.full(lot.size, 0xC633_6407, np.uint32))
    return _sealed(rows)


def _to_node(port: int, payload: bytes) -> Callable[[Field, Ints], Bytes]:
    """A terminal that talks to the gateway's own ports (B15, B16)."""

    def build(field: Field, lot: Ints) -> Bytes:
        return _sealed(_abused(field, lot, inner(field.pgw, port, payload)))

    return build


def _fragments(field: Field, lot: Ints) -> Bytes:
    """Fragments without a first one, each of a datagram of its own (B37, B38)."""
    packet = bytearray(inner(field.server, 53, bytes(PAYLOAD_BYTES)))
    packet[6:8] = LATER_FRAGMENT.to_bytes(2, "big")
    rows = _abused(field, lot, bytes(packet))
    label = (lot >> 8).astype(np.uint16).astype(">u2")
    rows[:, INNER + 4 : INNER + 6] = label.view(np.uint8).reshape(-1, 2)
    return _sealed(rows)


ECHO_U = bytes.fromhex("32010004 00000000 00010000")
ECHO_C = bytes.fromhex("40010009 00000100 03000100 07")
"""Echo Requests of GTP-U (TS 29.281 7.2.1) and GTPv2-C (TS 29.274 7.1.1)"""
HEARTBEAT = bytes.fromhex("2001000c 00000100 00600004 d6217a00")
"""PFCP Heartbeat Request with a Recovery Time Stamp (TS 29.244 7.4.2.1)"""

BULK: dict[str, tuple[str, Callable[[Field, Ints], Bytes]]] = {
    "spoofed-source": ("spoof", _spoofed),
    "unknown-teid": ("teid", _unknown),
    "gtp-in-gtp": ("gtp_in_gtp", _to_node(2152, ECHO_U)),
    "infrastructure": ("infra", _to_node(2123, ECHO_C)),
    "infrastructure-pfcp": ("infra", _to_node(8805, HEARTBEAT)),
    "fragments": (PASSED, _fragments),
}
MALFORMED = "malformed"
KINDS = (*BULK, MALFORMED)


class Flood:
    """One attack as a source of frames."""

    def __init__(self, scenario: Scenario, index: int) -> None:
        self.attack: Attack = scenario.attacks[index]
        self.seed = (scenario.seed, SALT, index)
        self.field = Field.of(scenario)
        self.faults = _faults(self.field) if self.attack.kind == MALFORMED else []
        span_ns = self.attack.end_ns - self.attack.begin_ns
        self.count = -(-span_ns * self.attack.packets_per_s // NS_PER_S)

    def next_ns(self, number: int) -> int:
        """When packet `number` is due."""
        return self.attack.begin_ns + number * NS_PER_S // self.attack.packets_per_s

    def past(self, time_ns: int) -> int:
        """How many are due up to and including `time_ns`."""
        passed = (time_ns - self.attack.begin_ns + 1) * self.attack.packets_per_s
        return min(self.count, max(0, -(-passed // NS_PER_S)))

    def frames(self, first: int, past: int) -> Iterator[Frames]:
        """Packets `first` to `past - 1`; groups overlap in time where lengths differ."""
        for begin in range(first, past, BLOCK):
            number = np.arange(begin, min(past, begin + BLOCK))
            time_ns = self.attack.begin_ns + number * NS_PER_S // self.attack.packets_per_s
            if self.attack.kind in BULK:
                yield Frames(time_ns, BULK[self.attack.kind][1](self.field, self._lots(number)))
            else:
                yield from self._malformed(number, time_ns)

    def _lots(self, number: Ints) -> Ints:
        """A number of 36 bits for each packet."""
        blocks, stream = np.unique(number // BLOCK, return_inverse=True)
        limit = np.full(number.size, 1 << 36)
        return Streams(self.seed, blocks).below(limit, stream, number % BLOCK)

    def _malformed(self, number: Ints, time_ns: Ints) -> Iterator[Frames]:
        """Each fault in its turn."""
        turns = number % len(self.faults)
        for turn, whole in enumerate(self.faults):
            chosen = np.flatnonzero(turns == turn)
            if chosen.size:
                yield Frames(time_ns[chosen], np.tile(whole, (chosen.size, 1)))


def _faults(field: Field) -> list[Bytes]:
    """A frame of each malformed kind, all in the first line's tunnel."""
    teid = int(field.teids[0]).to_bytes(4, "big")
    packet = _abused(field, np.zeros(1, np.int64), inner(field.server, 443, bytes(12)))
    right = _sealed(packet)[0, INNER:].tobytes()
    return [
        np.frombuffer(frame(field, kind.build(teid, right)), np.uint8) for kind in malformed.ALL
    ]


def expected(scenario: Scenario) -> dict[str, Any]:
    """`drops`: packets of all attacks by drop reason; `passed`: those that a gateway lets through."""
    found: Counter[str] = Counter()
    for index, attack in enumerate(scenario.attacks):
        count = Flood(scenario, index).count
        if attack.kind in BULK:
            found[BULK[attack.kind][0]] += count
            continue
        for turn, kind in enumerate(malformed.ALL):
            found[kind.reason] += len(range(turn, count, len(malformed.ALL)))
    passed = found.pop(PASSED, 0)
    return {
        "drops": {reason: {"packets": found[reason]} for reason in sorted(found)},
        "passed": passed,
    }
