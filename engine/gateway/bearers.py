"""Open bearers: found by TEID going up and by the terminal's address going down (RULES N6, N7)."""

import socket
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.datapath.tables import (
    free_addresses,
    free_tunnels,
    probe_address,
    probe_tunnel,
    rehash_addresses,
    rehash_tunnels,
    room,
)
from engine.gateway.session import NO_BEARER, Session
from engine.layout import ADDRESS_GONE, ADDRESS_HOST, ADDRESS_PREFIX, aligned_zeros
from engine.live_layout import (
    BEARER,
    BEARER_IN_USE,
    BEARER_V6,
    NAME_BYTES,
)
from engine.wire.addresses import parse_address
from engine.wire.endpoints import Endpoints
from engine.words import CONTROL_WORDS

Rows = npt.NDArray[Any]

FIRST = 1024
"""rows of tables to begin with"""
_V4_MASK = 0xFFFFFFFF

Tie = tuple[str, int]
"""a peer's outer address on the user plane, and the TEID that it gave out"""


def socket_name(address: str, port: int) -> bytes:
    """The sockaddr of an address and port, filled up to NAME_BYTES."""
    if ":" in address:
        packed = socket.inet_pton(socket.AF_INET6, address)
        name = struct.pack("=H", socket.AF_INET6) + struct.pack("!HI16sI", port, 0, packed, 0)
    else:
        packed = socket.inet_pton(socket.AF_INET, address)
        name = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s", port, packed)
    return name.ljust(NAME_BYTES, b"\0")


class AddressTable:
    """Addresses and /64s, each with a number; grows, and forgets what was given back."""

    def __init__(self) -> None:
        self.rows: Rows = free_addresses(FIRST)
        self._used = 0

    def set(self, hi: int, lo: int, kind: int, number: int) -> None:
        """Give an address (kind ADDRESS_HOST), or a /64 (ADDRESS_PREFIX), this number."""
        if self._used >= room(len(self.rows)):
            live = self.rows[self.rows["row"] >= 0]
            self.rows = free_addresses(_size_for(len(live)))
            rehash_addresses(live, self.rows)
            self._used = len(live)
        entry = self.rows[probe_address(self.rows, hi, lo, kind)]
        self._used += int(entry["row"]) == -1
        entry["hi"], entry["lo"], entry["row"], entry["kind"] = hi, lo, number, kind

    def drop(self, hi: int, lo: int, kind: int, number: int) -> None:
        """Forget an address that has this number still."""
        entry = self.rows[probe_address(self.rows, hi, lo, kind)]
        if int(entry["row"]) == number:
            entry["row"] = ADDRESS_GONE


class Nodes:
    """Addresses of the operator's nodes: the gateway's own, and the peers' while they have sessions."""

    def __init__(self) -> None:
        self.table = AddressTable()
        self._counts: dict[str, int] = {}

    def add(self, address: str) -> None:
        """No terminal may reach this address through its tunnel (B15, B16)."""
        self._counts[address] = self._counts.get(address, 0) + 1
        if self._counts[address] == 1:
            self.table.set(*parse_address(address), ADDRESS_HOST, 0)

    def remove(self, address: str) -> None:
        """Undo one `add`; the last one counts."""
        self._counts[address] -= 1
        if not self._counts[address]:
            del self._counts[address]
            self.table.drop(*parse_address(address), ADDRESS_HOST, 0)


class Bearers:
    """BEARER rows, the tables in which kernels find them, and the peers' sockaddrs.

    Tables are replaced when they grow; they are handed to a kernel for one call.
    """

    def __init__(self, endpoints: Endpoints, peer_port: int) -> None:
        self.rows: Rows = aligned_zeros(FIRST, BEARER)
        self.teids: Rows = free_tunnels(FIRST)
        self.names: Rows = np.zeros(FIRST * NAME_BYTES, dtype=np.uint8)
        self.nodes = Nodes()
        self._addresses = AddressTable()
        self._endpoints = endpoints
        self.peer_port = peer_port
        self._free = list(range(FIRST - 1, -1, -1))
        self._teids_used = 0
        self._ties: dict[int, Tie] = {}
        self._by_peer: dict[Tie, Session] = {}

    def __len__(self) -> int:
        return len(self._ties)

    @property
    def tables(self) -> tuple[Rows, Rows, Rows, Rows]:
        """What kernels need to find a bearer: by TEID, by address; whose the nodes are; the rows."""
        return self.teids, self._addresses.rows, self.nodes.table.rows, self.rows

    def open(self, session: Session, now_ns: int) -> None:
        """Enter a session's bearer; its index is written to `session.bearer`."""
        if not self._free:
            self._grow()
        index = session.bearer = self._free.pop()
        row = self.rows[index]
        row["teid_up"], row["last_ns"], row["held"] = session.teid_up, now_ns, 0
        row["address"] = parse_address(session.ipv4)[1] & _V4_MASK if session.ipv4 else 0
        row["prefix"] = parse_address(session.ipv6.partition("/")[0])[0] if session.ipv6 else 0
        row["flags"] = BEARER_IN_USE | (BEARER_V6 if session.ipv6 else 0)
        self._set_teid(session.teid_up, index)
        for hi, lo, kind in _keys(session):
            self._addresses.set(hi, lo, kind, index)
        self._tie(session)

    def move(self, session: Session) -> Tie:
        """The peer or its TEID has changed (Modify Bearer): the old ones."""
        old = self._untie(session)
        self._tie(session)
        return old

    def close(self, session: Session) -> Tie:
        """Forget a session's bearer: its peer. What waits for departure is not sent any more."""
        index = session.bearer
        row = self.rows[index]
        self._drop_teid(int(row["teid_up"]), index)
        for hi, lo, kind in _keys(session):
            self._addresses.drop(hi, lo, kind, index)
        peer = self._untie(session)
        row["flags"] = row["held"] = 0
        row["generation"] += 1
        self._free.append(index)
        session.bearer = NO_BEARER
        return peer

    def of_peer(self, peer: str, teid_down: int) -> Session | None:
        """The session whose G-PDUs go to this TEID at this peer."""
        return self._by_peer.get((peer, teid_down))

    def _tie(self, session: Session) -> None:
        row = self.rows[session.bearer]
        hi, lo = parse_address(session.peer_user)
        row["teid_down"], row["peer_hi"], row["peer_lo"] = session.teid_down, hi, lo
        row["endpoint"] = self._endpoints.intern(hi, lo)
        name = socket_name(session.peer_user, self.peer_port)
        at = session.bearer * NAME_BYTES
        self.names[at : at + NAME_BYTES] = np.frombuffer(name, dtype=np.uint8)
        self.nodes.add(session.peer_user)
        tie = session.peer_user, session.teid_down
        self._ties[session.bearer] = tie
        self._by_peer[tie] = session

    def _untie(self, session: Session) -> Tie:
        tie = self._ties.pop(session.bearer)
        self.nodes.remove(tie[0])
        if self._by_peer.get(tie) is session:  # a peer may give out a TEID twice
            del self._by_peer[tie]
        return tie

    def _grow(self) -> None:
        count = len(self.rows)
        larger = aligned_zeros(2 * count, BEARER)
        larger[:count] = self.rows
        self.rows = larger
        self.names = np.concatenate([self.names, np.zeros_like(self.names)])
        self._free = list(range(2 * count - 1, count - 1, -1))

    def _set_teid(self, teid: int, index: int) -> None:
        if self._teids_used >= room(len(self.teids)):
            live = self.teids[self.teids["row"] >= 0]
            self.teids = free_tunnels(_size_for(len(live)))
            rehash_tunnels(live, self.teids, np.zeros(CONTROL_WORDS, dtype=np.int64))
            self._teids_used = len(live)
        entry = self.teids[probe_tunnel(self.teids, teid)]
        self._teids_used += int(entry["key"]) == -1
        entry["key"], entry["row"] = teid, index

    def _drop_teid(self, teid: int, index: int) -> None:
        entry = self.teids[probe_tunnel(self.teids, teid)]
        if int(entry["row"]) == index:
            entry["row"] = -1


def _size_for(count: int) -> int:
    """Rows of a table that `count` entries leave half of what may be taken free."""
    size = FIRST
    while room(size) < 2 * count:
        size *= 2
    return size


def _keys(session: Session) -> list[tuple[int, int, int]]:
    """(hi, lo, kind) of the session's addresses in an address table."""
    found = []
    if session.ipv4:
        found.append((*parse_address(session.ipv4), ADDRESS_HOST))
    if session.ipv6:
        found.append((parse_address(session.ipv6.partition("/")[0])[0], 0, ADDRESS_PREFIX))
    return found
