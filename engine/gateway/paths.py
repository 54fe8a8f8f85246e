"""GTP-U between nodes: echoes, error indications, end markers (3GPP TS 29.281 5.1, 7). No sockets here."""

import ipaddress
import struct
from collections import Counter
from collections.abc import Callable

from engine.units import NS_PER_S
from engine.wire import gtp

Datagram = tuple[bytes, tuple[str, int]]
Told = Callable[[int, str], bool]
"""told that a peer does not know a TEID; whether it was a bearer's, towards that peer"""

ECHO_REQUEST, ECHO_RESPONSE, ERROR_INDICATION = 1, 2, 26
EXTENSIONS_NOTIFICATION, END_MARKER, G_PDU = 31, 254, 255
NAMES = {
    ECHO_REQUEST: "echo-request",
    ECHO_RESPONSE: "echo-response",
    ERROR_INDICATION: "error-indication",
    EXTENSIONS_NOTIFICATION: "supported-extension-headers-notification",
    END_MARKER: "end-marker",
    G_PDU: "g-pdu",
}

RECOVERY, TEID_DATA_I, PEER_ADDRESS, EXTENSION_LIST = 14, 16, 133, 141
"""information elements (TS 29.281 8.1)"""
_FLAGS = gtp.VERSION_1 << 5 | gtp.PROTOCOL_TYPE
_EXTENSIONS = bytes([gtp.PDU_SESSION_CONTAINER, gtp.PDCP_PDU_NUMBER])
"""extension headers that this gateway skips knowingly, of those that must be understood"""

ANSWERS_PER_S = 1_000
ANSWERS_PER_S_AND_PEER = 100
"""echoes answered; who only means to find out whether this gateway lives does not ask more often"""
COMPLAINTS_PER_S = 200
COMPLAINTS_PER_S_AND_PEER = 50
"""Error Indications and notifications sent: a flood of unknown TEIDs must not be reflected (B20)"""
PEERS_MAX = 256
"""peers counted one by one in a second; the others share one count"""


class Budget:
    """So many a second in all, and so many for one peer. Bounded whoever the peers are."""

    def __init__(self, per_s: int, per_s_and_peer: int) -> None:
        self._per_s = per_s
        self._per_s_and_peer = per_s_and_peer
        self._second = -1
        self._spent: Counter[str] = Counter()
        self._total = 0
        self.over = 0

    def left(self, now_ns: int) -> bool:
        """Whether anything at all may be spent at this time."""
        if now_ns // NS_PER_S != self._second:
            self._second = now_ns // NS_PER_S
            self._spent.clear()
            self._total = 0
        return self._total < self._per_s

    def spend(self, peer: str, now_ns: int) -> bool:
        """Whether this peer may have one more; it is counted then."""
        if self.left(now_ns):
            key = peer if peer in self._spent or len(self._spent) < PEERS_MAX else ""
            if self._spent[key] < self._per_s_and_peer:
                self._spent[key] += 1
                self._total += 1
                return True
        self.over += 1
        return False


def message(kind: int, body: bytes = b"", *, teid: int = 0, sequence: int | None = None) -> bytes:
    """A GTP-U message; with a sequence number it has the four optional bytes."""
    options = b"" if sequence is None else struct.pack("!HBB", sequence, 0, 0)
    flags = _FLAGS | (0 if sequence is None else gtp.SEQUENCE)
    return struct.pack("!BBHI", flags, kind, len(options) + len(body), teid) + options + body


def end_marker(teid: int) -> bytes:
    """Nothing follows in this tunnel (TS 29.281 7.3.2)."""
    return message(END_MARKER, teid=teid)


def body_of(data: bytes) -> bytes:
    """The information elements of a message whose header has no fault; b"" where they cannot be reached."""
    end = gtp.HEADER_BYTES + int.from_bytes(data[2:4], "big")
    if not data[0] & gtp.ANY_OPTION:
        return data[gtp.HEADER_BYTES : end]
    at = gtp.HEADER_BYTES + gtp.OPTION_BYTES
    kind = data[at - 1] if data[0] & gtp.EXTENSION and at <= len(data) else 0
    for _ in range(gtp.EXTENSIONS_MAX):
        if not kind:
            return data[at:end]
        size = data[at] * 4 if at < len(data) else 0
        if not size or at + size > min(end, len(data)):
            break
        at += size
        kind = data[at - 1]
    return b""


def elements(body: bytes) -> dict[int, bytes]:
    """Information elements, the first of each type; those below 128 have fixed lengths (TS 29.281 8.1)."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(body):
        kind = body[at]
        if kind & 0x80:
            begin, size = at + 3, int.from_bytes(body[at + 1 : at + 3], "big")
        else:
            begin, size = at + 1, {RECOVERY: 1, TEID_DATA_I: 4}.get(kind, -1)
        if size < 0 or begin + size > len(body):
            break
        found.setdefault(kind, body[begin : begin + size])
        at = begin + size
    return found


class Paths:
    """Answers what peers say beside user packets; `counters` by what came of it."""

    def __init__(self, address: str, port: int, told: Told) -> None:
        self._address = ipaddress.ip_address(address).packed
        self._port = port
        self._told = told
        self._sequence = 0
        self.answers = Budget(ANSWERS_PER_S, ANSWERS_PER_S_AND_PEER)
        self.complaints = Budget(COMPLAINTS_PER_S, COMPLAINTS_PER_S_AND_PEER)
        self.counters: Counter[str] = Counter()

    def receive(self, data: bytes, peer: tuple[str, int], now_ns: int) -> list[Datagram]:
        """A message whose header has no fault, or a G-PDU with an extension that must be understood."""
        kind = data[1]
        if kind == ECHO_REQUEST:
            return self._echo(data, peer, now_ns)
        if kind == ERROR_INDICATION:
            self._error(data, peer[0])
        elif kind == G_PDU:
            return self._notify(peer[0], now_ns)
        elif kind not in NAMES:
            self.counters["unknown-message"] += 1
        return []

    def _echo(self, data: bytes, peer: tuple[str, int], now_ns: int) -> list[Datagram]:
        """Echo Response with the same sequence number, to where the request came from (TS 29.281 7.2.2)."""
        if not self.answers.spend(peer[0], now_ns):
            return []
        self.counters["echo-response-sent"] += 1
        sequence = int.from_bytes(data[8:10], "big")
        return [(message(ECHO_RESPONSE, bytes([RECOVERY, 0]), sequence=sequence), peer)]

    def _error(self, data: bytes, peer: str) -> None:
        """The peer does not know a TEID. Believed only of a bearer that ends at that very peer (B21)."""
        teid = elements(body_of(data)).get(TEID_DATA_I)
        believed = teid is not None and self._told(int.from_bytes(teid, "big"), peer)
        self.counters["error-indication-" + ("believed" if believed else "ignored")] += 1

    def stray(self, data: bytes, peer: str, now_ns: int) -> list[Datagram]:
        """Error Indication for a G-PDU whose TEID no session has (TS 29.281 7.3.1)."""
        if not self.complaints.spend(peer, now_ns):
            return []
        self.counters["error-indication-sent"] += 1
        body = bytes([TEID_DATA_I]) + data[4:8]
        body += struct.pack("!BH", PEER_ADDRESS, len(self._address)) + self._address
        return [(self._numbered(ERROR_INDICATION, body), (peer, self._port))]

    def _notify(self, peer: str, now_ns: int) -> list[Datagram]:
        """Which extension headers this gateway knows (TS 29.281 7.2.3)."""
        if not self.complaints.spend(peer, now_ns):
            return []
        self.counters["notification-sent"] += 1
        body = bytes([EXTENSION_LIST, len(_EXTENSIONS)]) + _EXTENSIONS
        return [(self._numbered(EXTENSIONS_NOTIFICATION, body), (peer, self._port))]

    def _numbered(self, kind: int, body: bytes) -> bytes:
        self._sequence = (self._sequence + 1) & 0xFFFF
        return message(kind, body, sequence=self._sequence)
