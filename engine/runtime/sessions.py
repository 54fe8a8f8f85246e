"""Binds sessions to SIM rows: tunnels by TEID and receiver, subscriber addresses and prefixes."""

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
)
from engine.errors import UsageError
from engine.layout import (
    ADDRESS_HOST,
    ADDRESS_PREFIX,
    ADDRESS_TUNNELLED,
    ANY_ENDPOINT,
    CONTROL_TUNNELS,
    DOWNLINK,
    TUNNEL_CHECKED,
    UPLINK,
)
from engine.wire.addresses import format_address, parse_address, parse_prefix
from engine.wire.endpoints import Endpoints

Rows = npt.NDArray[Any]


def check_address(text: str) -> None:
    """UsageError unless `text` is an IPv4 or IPv6 address or an IPv6 /64."""
    try:
        parse_address(text.removesuffix("/64") if ":" in text else text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no address: {error}") from None


class Sessions:
    """The tables in which the datapath finds a packet's SIM. Tables are replaced when they grow."""

    def __init__(self, ue_nets: tuple[str, ...], endpoints: Endpoints, control: Rows) -> None:
        self.endpoints = endpoints
        self.tunnels: Rows = free_tunnels(1024)
        self.addresses: Rows = free_addresses(1024)
        self.nets: Rows = np.array([parse_prefix(n) for n in ue_nets], np.int64).reshape(-1, 4)
        self._address_count = 0
        self._control = control

    def bind_address(self, text: str, row: int, tunnelled: bool) -> None:
        """Give an address, or an IPv6 /64 prefix ("2001:db8::/64"), to a SIM."""
        prefix = ADDRESS_PREFIX if text.endswith("/64") else ADDRESS_HOST
        hi, lo = parse_address(text.partition("/")[0])
        self.bind_halves(hi, lo, row, prefix | (ADDRESS_TUNNELLED if tunnelled else 0))

    def bind_halves(self, hi: int, lo: int, row: int, kind: int) -> None:
        """The same for an address in two signed halves; `kind` is layout.ADDRESS_*."""
        if self._address_count >= 3 * len(self.addresses) // 4:
            larger = free_addresses(2 * len(self.addresses))
            rehash_addresses(self.addresses, larger)
            self.addresses = larger
        slot = probe_address(self.addresses, hi, lo, kind & ADDRESS_PREFIX)
        entry = self.addresses[slot]
        self._address_count += int(entry["row"]) < 0
        entry["hi"], entry["lo"], entry["row"], entry["kind"] = hi, lo, row, kind

    def bind_tunnel(self, teid: int, receiver: str | None, row: int, direction: int) -> None:
        """Give a TEID to a SIM, at one receiver's outer address or at any (None)."""
        endpoint = ANY_ENDPOINT
        if receiver is not None:
            endpoint = self.endpoints.intern(*parse_address(receiver))
        self.make_room()
        slot = probe_tunnel(self.tunnels, endpoint << 32 | teid)
        entry = self.tunnels[slot]
        self._control[CONTROL_TUNNELS] += int(entry["key"]) == -1
        entry["key"], entry["row"], entry["direction"] = endpoint << 32 | teid, row, direction

    def bind_line(
        self,
        row: int,
        addresses: tuple[str, ...],
        teids: tuple[int | None, int | None],
        gateway: str | None,
    ) -> None:
        """All of a line: addresses, TEIDs (up, down), and the gateway that gave out the first.

        With addresses given, an uplink packet must come from one of them (N7).
        """
        for text in addresses:
            self.bind_address(text, row, tunnelled=teids != (None, None))
        teid_up, teid_down = teids
        if teid_up is not None:
            direction = UPLINK | (TUNNEL_CHECKED if addresses else 0)
            self.bind_tunnel(teid_up, gateway, row, direction)
        if teid_down is not None:
            self.bind_tunnel(teid_down, None, row, DOWNLINK)

    def make_room(self) -> None:
        """Double the tunnel table if it is three quarters full."""
        if self._control[CONTROL_TUNNELS] >= 3 * len(self.tunnels) // 4:
            larger = free_tunnels(2 * len(self.tunnels))
            rehash_tunnels(self.tunnels, larger)
            self.tunnels = larger

    def tunnel_report(self) -> list[dict[str, Any]]:
        """Every tunnel that carried G-PDUs, by destination and TEID."""
        names = [format_address(hi, lo) for hi, lo in self.endpoints.addresses()]
        order = {index: at for at, index in enumerate(_by_address(self.endpoints))}
        seen = self.tunnels[self.tunnels["packets"] > 0]
        found = [
            (order[int(t["key"]) >> 32], int(t["key"]) & 0xFFFFFFFF, int(t["key"]) >> 32, t)
            for t in seen
        ]
        return [
            {
                "teid": teid,
                "destination": names[endpoint],
                "packets": int(t["packets"]),
                "inner_bytes": int(t["inner_bytes"]),
            }
            for _, teid, endpoint, t in sorted(found, key=lambda f: f[:2])
        ]


def _by_address(endpoints: Endpoints) -> list[int]:
    """Indices of the endpoints in ascending order of their addresses, so that reports never depend
    on which was seen first."""
    unsigned = [(hi % (1 << 64), lo % (1 << 64)) for hi, lo in endpoints.addresses()]
    return sorted(range(len(unsigned)), key=unsigned.__getitem__)
