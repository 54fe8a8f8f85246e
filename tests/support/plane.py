"""A data plane on real sockets of loopback, sessions made by hand, and a date that is told the time."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from engine.clock import RunningDate
from engine.config import Settings
from engine.gateway.ends import End, bound, end_of
from engine.gateway.plane import Plane
from engine.gateway.session import Session
from engine.gateway.sgi import EchoSgi, Sgi, UdpSgi
from engine.runtime import Engine
from tests.support import packets
from tests.support.gateway import SLOW, T0, gateway, settings

OWN = "127.0.0.1"
PEER, PEER_2 = "127.0.0.2", "127.0.0.3"
SERVER = "198.51.100.7"
UE = "10.1.0.1"
TEID_UP, TEID_DOWN = 0x0A0B0C0D, 0x01020304
ROOMY = replace(SLOW, burst_bytes=1_000_000)
"""a burst that nothing here uses up: packets leave as they come"""


class Date(RunningDate):
    """The gateway's date, at a standstill between what tests tell it."""

    def __init__(self, now_ns: int = T0) -> None:
        super().__init__(now_ns)
        self.at_ns = now_ns

    def now_ns(self) -> int:
        return self.at_ns


def listen(address: str, port: int = 0) -> socket.socket:
    """A socket of the other side, which waits a moment for what is to come."""
    sock = bound(End(address, port), "test")
    sock.settimeout(5)
    return sock


def heard(sock: socket.socket) -> list[bytes]:
    """All datagrams that have come to a socket."""
    found = []
    sock.setblocking(False)
    try:
        while True:
            found.append(sock.recv(70_000))
    except BlockingIOError:
        return found
    finally:
        sock.settimeout(5)


def inner(
    payload: bytes = b"",
    *,
    src: str = UE,
    dst: str = SERVER,
    size: int | None = None,
    **fields: Any,
) -> bytes:
    """An inner IPv4 packet of UDP; `size` bytes long where given."""
    if size is not None:
        payload = bytes(size - 28)
    ports = {name: fields.pop(name) for name in ("sport", "dport") if name in fields}
    body = packets.udp(payload, src=ports.get("sport", 40_000), dst=ports.get("dport", 443))
    return packets.ipv4(body, src=src, dst=dst, **fields)


def g_pdu(t_pdu: bytes, teid: int = TEID_UP, **fields: Any) -> bytes:
    """A G-PDU, header included."""
    return packets.gtp(t_pdu, teid=teid, **fields)


def session(number: int = 1, **changes: Any) -> Session:
    """Session number n: 10.1.0.n, TEIDs counted up from TEID_UP and TEID_DOWN."""
    fields: dict[str, Any] = {
        "version": 2,
        "imsi": f"44010000000000{number}",
        "teid_control": number,
        "teid_up": TEID_UP + number - 1,
        "teid_down": TEID_DOWN + number - 1,
        "peer_control": (PEER, 2123),
        "teid_peer_control": number,
        "peer_user": PEER,
        "bearer_id": 5,
        "apn": "iijmio.jp",
        "rat": 6,
        "line": "",
        "ipv4": f"10.1.0.{number}",
        "ipv6": None,
        "opened_ns": T0,
    }
    return Session(**(fields | changes))


class World:
    """A plane, its peers and its network side."""

    def __init__(self, engine: Engine, plane: Plane, peer: socket.socket, far: Any) -> None:
        self.engine, self.plane, self.peer, self.far = engine, plane, peer, far
        self.near = end_of(plane.sock)
        self.date: Any = plane.date

    def attach(self, number: int = 1, **changes: Any) -> Session:
        """Open a session in engine and plane."""
        made = session(number, **changes)
        addresses = made.addresses
        made.line = self.engine.attach(
            at_ns=self.date.now_ns(),
            imsi=made.imsi,
            contract="hdd1",
            teid_up=made.teid_up,
            teid_down=made.teid_down,
            address=addresses,
            gateway=self.near.address,
            peer=made.peer_user,
        )
        self.plane.open(made)
        return made

    def turn(self, *, after_ns: int = 0, uplink: bool = True, downlink: bool = True) -> None:
        """Let so much time pass, then take a turn."""
        self.date.at_ns += after_ns
        self.plane.turn(uplink=uplink, downlink=downlink)

    def up(self, *datagrams: bytes, after_ns: int = 0, sender: socket.socket | None = None) -> None:
        """Send datagrams to the GTP-U port, and take a turn."""
        for data in datagrams:
            (sender or self.peer).sendto(data, self.near)
        self.turn(after_ns=after_ns)

    def down(self, *t_pdus: bytes, after_ns: int = 0) -> None:
        """Send packets from the network side, and take a turn."""
        for data in t_pdus:
            self.far.sendto(data, self.plane.sgi._sock.getsockname())  # type: ignore[attr-defined]
        self.turn(after_ns=after_ns)

    @property
    def out_up(self) -> list[bytes]:
        """Packets that have come out at the network side."""
        return heard(self.far)

    @property
    def out_down(self) -> list[bytes]:
        """Datagrams that have come to the peer."""
        return heard(self.peer)

    @property
    def figures(self) -> dict[str, Any]:
        return self.plane.figures()

    def dropped(self, side: str = "drops_up") -> dict[str, int]:
        """Packets that the plane dropped by itself, by reason."""
        return {name: count["packets"] for name, count in self.figures[side].items()}

    def refused(self) -> dict[str, int]:
        """Packets that the engine dropped, by reason."""
        return {name: n["packets"] for name, n in self.engine.totals()["drops"].items()}


@contextmanager
def world(
    *,
    made: Settings | None = None,
    sgi: Sgi | None = None,
    live: bool = False,
    own: str = OWN,
    **options: Any,
) -> Iterator[World]:
    """A plane with a UDP network side (or another), and the sockets of both sides; closed at the end."""
    peer = listen(PEER if own == OWN else own)
    far = listen(OWN)
    near_sgi = bound(End(OWN, 0), "test")
    sock = bound(End(own, 0), "test")
    options = {"peer_port": end_of(peer).port, "hold_packets": 1024} | options
    engine = gateway(settings=made or settings(slow=ROOMY), live=live)
    side = sgi or UdpSgi(near_sgi, end_of(far), offload=options.get("offload", True))
    try:
        plane = Plane(engine, sock, side, Date(), address=own, **options)
        yield World(engine, plane, peer, far)
    finally:
        engine.close()
        side.close()
        for each in (peer, far, near_sgi, sock):
            each.close()


def header(t_pdu: bytes, teid: int) -> bytes:
    """The eight bytes that this gateway puts in front of a T-PDU."""
    return struct.pack("!BBHI", 0x30, 255, len(t_pdu), teid)


def echo_side() -> EchoSgi:
    """A network side that sends everything back."""
    return EchoSgi(64)
