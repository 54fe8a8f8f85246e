"""Binds sessions to SIM rows: tunnels by TEID and receiver, subscriber addresses and prefixes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.datapath.asleep import nobody_asleep
from engine.datapath.tables import (
    free_addresses,
    free_tunnels,
    lend_tunnel,
    probe_address,
    probe_tunnel,
    rehash_addresses,
    rehash_tunnels,
    room,
    telling_tunnels,
)
from engine.errors import UsageError
from engine.layout import (
    ADDRESS_GONE,
    ADDRESS_HOST,
    ADDRESS_PREFIX,
    ADDRESS_TUNNELLED,
    ANY_ENDPOINT,
    NEWCOMER,
    TUNNEL_CHECKED,
    TUNNEL_ELSEWHERE,
    TUNNEL_SEEN,
    UPLINK,
)
from engine.runtime.lines import Binding, Tunnel
from engine.wire.addresses import format_address, parse_address, parse_prefix
from engine.wire.endpoints import Endpoints
from engine.words import (
    CONTROL_ADDRESSES,
    CONTROL_BOUND,
    CONTROL_NEWCOMERS,
    CONTROL_PACKETS,
    CONTROL_STRAYS,
    CONTROL_TUNNELS,
)

Rows = npt.NDArray[Any]

NEWCOMERS_AT_ONCE = 4096
"""new SIMs that a kernel makes room for by itself"""


def check_binding(binding: Binding, *outer: str | None) -> None:
    """UsageError unless addresses (`outer`, too) are IPv4, IPv6 or IPv6 /64, and TEIDs can be a session's.

    A TEID of 0 is nobody's (3GPP TS 29.281 5.1).
    """
    hosts = [text.removesuffix("/64") if ":" in text else text for text in binding.addresses]
    for text in [*hosts, *(one for one in outer if one is not None)]:
        try:
            parse_address(text)
        except ValueError as error:
            raise UsageError(f"{text!r} is no address: {error}") from None
    for tunnel in binding.tunnels:
        if not 0 < tunnel.teid < 1 << 32:
            raise UsageError(f"TEID {tunnel.teid}: allowed: 1 to {(1 << 32) - 1}")


def nobody_claims(binding: Binding) -> None:
    """Nobody sleeps whose addresses and TEIDs these could be."""
    del binding


class Sessions:
    """The tables in which the datapath finds a packet's SIM. Tables are replaced when they are full.

    With `forget`, for those that run for long, what a tunnel carried is not reported after its session.
    """

    def __init__(
        self, ue_nets: tuple[str, ...], endpoints: Endpoints, control: Rows, forget: bool = False
    ) -> None:
        self.endpoints = endpoints
        self._forget = forget
        self.tunnels: Rows = free_tunnels(1024)
        self.addresses: Rows = free_addresses(1024)
        self.prefixes: Rows = np.array([parse_prefix(n) for n in ue_nets], np.int64).reshape(-1, 4)
        self.newcomers: Rows = np.zeros(NEWCOMERS_AT_ONCE, dtype=NEWCOMER)
        """new SIMs, in the order of their rows, as many as control[CONTROL_NEWCOMERS] says"""
        control[CONTROL_NEWCOMERS] = NEWCOMERS_AT_ONCE
        self.nets = nobody_asleep(self.prefixes, self.newcomers)
        """as `datapath.resolve` takes them"""
        self.on_claim: Callable[[Binding], None] = nobody_claims
        """told of addresses and TEIDs before they are given to somebody or taken back"""
        self.released = False
        """whether an address was ever taken back from its line"""
        self.control = control

    def bind_address(self, text: str, row: int, tunnelled: bool) -> None:
        """Give an address, or an IPv6 /64 prefix ("2001:db8::/64"), to a SIM."""
        hi, lo, prefix = _address_key(text)
        self.control[CONTROL_BOUND] += 1
        self.bind_halves(hi, lo, row, prefix | (ADDRESS_TUNNELLED if tunnelled else 0))

    def bind_halves(self, hi: int, lo: int, row: int, kind: int) -> None:
        """The same for an address in two signed halves; `kind` is layout.ADDRESS_*."""
        control = self.control
        if control[CONTROL_ADDRESSES] >= room(len(self.addresses)):
            control[CONTROL_ADDRESSES] = held = int(np.count_nonzero(self.addresses["row"] >= 0))
            few = 2 * held < room(len(self.addresses))
            fresh = free_addresses(len(self.addresses) * (1 if few else 2))
            rehash_addresses(self.addresses, fresh)
            self.addresses = fresh
        slot = probe_address(self.addresses, hi, lo, kind & ADDRESS_PREFIX)
        entry = self.addresses[slot]
        control[CONTROL_ADDRESSES] += int(entry["row"]) == -1
        entry["hi"], entry["lo"], entry["row"], entry["kind"] = hi, lo, row, kind

    def bind_tunnel(self, teid: int, receiver: str | None, row: int, direction: int) -> None:
        """Give a TEID to a SIM, at one receiver's outer address or at any (None)."""
        if receiver is not None:
            endpoint = self.endpoints.intern(*parse_address(receiver))
            self._set_tunnel(endpoint, teid, row, direction)
            if int(self._tunnel(ANY_ENDPOINT, teid)["row"]) >= 0:
                return
            row, direction = -1, TUNNEL_ELSEWHERE
        self._set_tunnel(ANY_ENDPOINT, teid, row, direction)
        if self.control[CONTROL_PACKETS]:  # else no tunnel was made by a packet
            self._lend(teid)

    def _tunnel(self, endpoint: int, teid: int) -> Any:
        return self.tunnels[probe_tunnel(self.tunnels, endpoint << 32 | teid)]

    def _set_tunnel(self, endpoint: int, teid: int, row: int, direction: int) -> None:
        self.make_room()
        entry = self._tunnel(endpoint, teid)
        self.control[CONTROL_TUNNELS] += int(entry["key"]) == -1
        stray = int(entry["direction"]) & TUNNEL_SEEN and int(entry["row"]) < 0
        self.control[CONTROL_STRAYS] -= bool(stray)
        entry["key"], entry["row"], entry["direction"] = endpoint << 32 | teid, row, direction

    def _lend(self, teid: int) -> None:
        lend_tunnel(self.tunnels, self.control, teid, len(self.endpoints))

    def bind_line(self, row: int, binding: Binding) -> None:
        """All of a line: addresses and tunnels.

        With addresses given, a packet must come from one of them, or go to one (N7).
        """
        self.on_claim(binding)
        for text in binding.addresses:
            self.bind_address(text, row, tunnelled=bool(binding.tunnels))
        checked = TUNNEL_CHECKED if binding.addresses else 0
        for teid, direction, receiver in binding.tunnels:
            self.bind_tunnel(teid, receiver, row, direction | checked)

    def extend(self, row: int, old: Binding, more: Binding) -> Binding:
        """Give a line more addresses and tunnels; all that it has then."""
        new = Binding(
            (*old.addresses, *(one for one in more.addresses if one not in old.addresses)),
            (*old.tunnels, *(one for one in more.tunnels if one not in old.tunnels)),
        )
        self.bind_line(row, new)
        return new

    def rebind(self, row: int, old: Binding, given: Binding) -> Binding:
        """A new session replaces a line's old one (N6); of what is not given, the old stays."""
        self.release_line(row, old)
        new = Binding(given.addresses or old.addresses, given.tunnels or old.tunnels)
        self.bind_line(row, new)
        return new

    def release_line(self, row: int, binding: Binding) -> None:
        """Undo `bind_line`, where nobody else has been given the address or TEID since."""
        self.on_claim(binding)
        self.released = True
        for text in binding.addresses:
            entry = self.addresses[probe_address(self.addresses, *_address_key(text))]
            if int(entry["row"]) == row:
                entry["row"] = ADDRESS_GONE
        for tunnel in binding.tunnels:
            self.release_tunnel(tunnel, row)

    def release_tunnel(self, tunnel: Tunnel, row: int) -> None:
        """Undo the binding of one tunnel of this row."""
        teid, _, receiver = tunnel
        if receiver is not None:
            entry = self._tunnel(self.endpoints.intern(*parse_address(receiver)), teid)
            if int(entry["row"]) == row and self._forget:
                entry["row"], entry["direction"], entry["packets"] = -1, 0, 0
                entry["inner_bytes"] = 0
            elif int(entry["row"]) == row:
                entry["row"], entry["direction"] = -1, TUNNEL_SEEN
                self.control[CONTROL_STRAYS] += 1
        anywhere = self._tunnel(ANY_ENDPOINT, teid)
        if int(anywhere["row"]) in (row, -1):
            anywhere["row"], anywhere["direction"] = -1, 0
        self._lend(teid)

    def set_aside(self, teid: int, receiver: str, state: int) -> None:
        """A tunnel of no session says itself what becomes of its packets: TUNNEL_ASIDE, TUNNEL_OVER."""
        self.on_claim(Binding((), (Tunnel(teid, UPLINK, receiver),)))
        self._set_tunnel(self.endpoints.intern(*parse_address(receiver)), teid, -1, state)

    def make_room(self) -> None:
        """Have room in the tunnel table: without what says nothing any more, or twice as large."""
        table = self.tunnels
        if self.control[CONTROL_TUNNELS] < room(len(table)):
            return
        few = 2 * telling_tunnels(table) < room(len(table))
        self.tunnels = free_tunnels(len(table) * (1 if few else 2))
        rehash_tunnels(table, self.tunnels, self.control)

    def tunnel_report(self) -> list[dict[str, Any]]:
        """Every tunnel that carried G-PDUs, by destination address and TEID.

        The order never depends on which was seen first. The destination of an embedding program's
        packets whose `endpoint` was never interned is "", and they come last.
        """
        addresses = self.endpoints.addresses()
        nowhere = len(addresses)
        names = [*(format_address(hi, lo) for hi, lo in addresses), ""]
        unsigned = [(hi % (1 << 64), lo % (1 << 64)) for hi, lo in addresses]
        places = np.argsort(sorted(range(nowhere), key=unsigned.__getitem__))
        table = self.tunnels[self.tunnels["packets"] > 0]
        endpoints, teids = table["key"] >> 32, table["key"] & ((1 << 32) - 1)
        known = endpoints < nowhere
        endpoints[known] = places[endpoints[known]]
        order = np.lexsort((teids, endpoints))
        named = np.where(known, table["key"] >> 32, nowhere)
        columns = named, teids, table["packets"], table["inner_bytes"]
        return [
            {"teid": teid, "destination": names[at], "packets": packets, "inner_bytes": size}
            for at, teid, packets, size in zip(*(c[order].tolist() for c in columns), strict=True)
        ]


def _address_key(text: str) -> tuple[int, int, int]:
    """An address or IPv6 /64 as the table's key: its halves, and whether it is a prefix."""
    prefix = ADDRESS_PREFIX if text.endswith("/64") else ADDRESS_HOST
    return *parse_address(text.partition("/")[0]), prefix
