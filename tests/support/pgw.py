"""A control plane on a real engine, and the requests of a peer that knows no more than the protocol."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from engine.config import Access, Settings
from engine.gateway.exchange import Datagram
from engine.gateway.pgw import Pgw
from engine.gateway.session import Endpoint, Session
from engine.gateway.table import SessionTable
from engine.pool.store import open_store
from engine.runtime import Engine, store_options
from engine.signalling.codec import decode, encode
from engine.signalling.messages import (
    EUTRAN,
    GN_SGSN_C,
    GN_SGSN_U,
    PDN_IPV4,
    S5_SGW_C,
    S5_SGW_U,
    UTRAN,
    Bearer,
    Fteid,
    Kind,
    Message,
    Options,
    Pap,
)
from engine.subscribers import Book, Line
from tests.support.gateway import T0, book, gateway, settings

OURS, SGW, OTHER = "127.0.0.1", "127.0.0.2", "127.0.0.3"
PEER: Endpoint = (SGW, 2123)
NETWORK = ("440", "10")
PAP = Options(pap=Pap(b"mio@iij", b"iij", 7), wants_dns4=True)
VERSIONS = (2, 1)
NO_ECHO = {"echo_s": 0}


class Wires:
    """A data plane that carries nothing, and says what it was told."""

    def __init__(self) -> None:
        self.open_now: dict[int, Session] = {}
        self.told: list[tuple[str, str]] = []
        self.active_ns: dict[str, int] = {}
        self._numbers = itertools.count()

    def open(self, session: Session) -> None:
        session.bearer = next(self._numbers)
        assert session.teid_up not in {one.teid_up for one in self.open_now.values()}
        self.open_now[session.bearer] = session
        self.active_ns[session.imsi] = session.opened_ns
        self.told.append(("open", session.imsi))

    def move(self, session: Session) -> None:
        assert self.open_now[session.bearer] is session
        self.told.append(("move", session.imsi))

    def close(self, session: Session, *, end_marker: bool = False) -> None:
        assert self.open_now.pop(session.bearer) is session
        self.told.append(("close", session.imsi))

    def last_active_ns(self, session: Session) -> int:
        return self.active_ns[session.imsi]


def imsi_of(number: int) -> str:
    return f"44010{number:010}"


def create(version: int = 2, number: int = 1, sequence: int = 1, **changes: Any) -> Message:
    """A Create request as it should be, of the SIM with this number, from `SGW`.

    teid_control, teid_down, peer: the peer's ends; everything else is a field of `Message`.
    """
    control, user = (S5_SGW_C, S5_SGW_U) if version == 2 else (GN_SGSN_C, GN_SGSN_U)
    peer = changes.pop("peer", SGW)
    teid_control = changes.pop("teid_control", 1_000 + number)
    teid_down = changes.pop("teid_down", 2_000 + number)
    fields: dict[str, Any] = {
        "imsi": imsi_of(number),
        "apn": "iijmio.jp",
        "rat": EUTRAN if version == 2 else UTRAN,
        "network": NETWORK,
        "pdn_type": PDN_IPV4,
        "options": PAP,
        "control": Fteid(control, teid_control, peer),
        "bearers": (Bearer(5, (Fteid(user, teid_down, peer),), qci=9 if version == 2 else None),),
    }
    teid = changes.pop("teid", 0)
    return Message(version, Kind.CREATE_REQUEST, sequence, teid, **(fields | changes))


def delete(session: Session, sequence: int = 2, **changes: Any) -> Message:
    """The request that ends a session."""
    two = session.version == 2
    fields: dict[str, Any] = {
        "linked_bearer": session.bearer_id if two else None,
        "bearers": () if two else (Bearer(session.bearer_id),),
        "teardown": not two,
    }
    teid = changes.pop("teid", session.teid_control)
    return Message(session.version, Kind.DELETE_REQUEST, sequence, teid, **(fields | changes))


def modify(session: Session, peer: str, teids: tuple[int, int], **changes: Any) -> Message:
    """The request that moves a session to these ends: control and user TEID at `peer`."""
    two = session.version == 2
    control, user = (S5_SGW_C, S5_SGW_U) if two else (GN_SGSN_C, GN_SGSN_U)
    fields: dict[str, Any] = {
        "control": Fteid(control, teids[0], peer),
        "bearers": (Bearer(session.bearer_id, (Fteid(user, teids[1], peer),)),),
    }
    sequence, teid = changes.pop("sequence", 3), changes.pop("teid", session.teid_control)
    return Message(session.version, Kind.MODIFY_REQUEST, sequence, teid, **(fields | changes))


@dataclass
class World:
    """A gateway with its peer; `now_ns` is advanced by hand."""

    engine: Engine
    pgw: Pgw
    wires: Wires
    now_ns: int = T0
    sequences: Iterator[int] = field(default_factory=lambda: itertools.count(100))

    def send(self, message: Message | bytes, peer: Endpoint = PEER) -> list[Datagram]:
        """All datagrams that the gateway sends on this one."""
        data = message if isinstance(message, bytes) else encode(message)
        return self.pgw.receive(data, peer, self.now_ns)

    def ask(self, message: Message | bytes, peer: Endpoint = PEER) -> Message:
        """The one answer to a request."""
        ((data, whom),) = self.send(message, peer)
        assert whom == peer
        return decode(data)

    def attach(self, version: int = 2, number: int = 1, **changes: Any) -> Session:
        """Open a session; what the gateway has of it."""
        sequence = changes.pop("sequence", next(self.sequences))
        source = changes.pop("source", (changes.get("peer", SGW), 2123))
        message = create(version, number, sequence, **changes)
        answers = self.send(message, source)
        assert decode(answers[0][0]).cause in (16, 18, 128, 129)
        return self.pgw.sessions.by_imsi[message.imsi or ""]

    def later(self, ns: int) -> list[Message]:
        """Let so much time pass; what the gateway sends by itself."""
        self.now_ns += ns
        return [decode(data) for data, _ in self.pgw.tick(self.now_ns)]


def access(**changes: Any) -> Access:
    """Small pools: 10.64.0.2 to 10.64.0.6, 3 prefixes; no Echo Requests unless said."""
    small = {"pool4": ("10.64.0.0/29",), "pool6": ("2001:db8:100::/62",)}
    return Access(**(small | NO_ECHO | changes))


def sims(count: int = 3, **changes: Any) -> Book:
    """Lines without addresses of their own, in one contract."""
    made = (Line(code=f"l{n}", imsi=imsi_of(n), **changes) for n in range(1, count + 1))
    return book(*made)


@contextmanager
def world(
    subscribers: Book | None = None,
    pool: str | None = None,
    draw: Any = None,
    live: bool = True,
    own: frozenset[Endpoint] = frozenset(),
    **changes: Any,
) -> Iterator[World]:
    """A gateway on a coupon database in memory, or in a file, where it is a live one unless said."""
    base = settings()
    pooled = replace(base.pool, **changes.pop("pool_settings", {}))
    made: Settings = replace(base, access=access(**changes), pool=pooled)
    store = open_store(pool, store_options(made, "gw"))
    engine = gateway(
        subscribers or sims(), settings=made, store=store, live=live and pool is not None
    )
    wires = Wires()
    table = SessionTable() if draw is None else SessionTable(draw)
    pgw = Pgw(made, engine, wires, OURS, OURS, 7, table, own=own)
    with engine:
        yield World(engine, pgw, wires)
