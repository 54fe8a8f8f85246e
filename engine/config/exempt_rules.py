"""What must hold between the entries of the exempt list, at the cost of reading it once.

As in `engine.config.rules`, whatever does not have the type that a rule needs is passed over.
"""

import ipaddress
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeGuard

from engine.config.faults import Finding, Locate, Path, shown
from engine.config.kinds import PORT_MAX
from engine.config.model import RATING_GROUP_MAX
from engine.config.rules import at, is_integer, names, repeated, tables

ENDPOINTS = ("exempt", "endpoint")
GROUPS = ("exempt", "rating_group")
IDS_SHOWN = 10
EVERY_PORT = 0
ALL_PORTS = frozenset((EVERY_PORT,))
ANY_PROTOCOL = ("tcp", "udp")
"""whatever an entry says of a protocol, it meets "any" in one of these"""


def findings(raw: dict[str, Any], own: dict[str, Any], locate: Locate) -> list[Finding]:
    """All that is wrong in the exempt list of `raw`, which is a file's `own` laid over the default."""
    return [
        *repeated(names(raw, ENDPOINTS), "exempt endpoint", locate),
        *repeated(names(raw, GROUPS), "rating group", locate),
        *repeated(_ids(raw), "rating group", locate),
        *_strange_groups(raw, own),
        *_ports(raw, locate),
        *_overlaps(raw, locate),
    ]


def _ids(raw: object) -> Iterator[tuple[Path, object]]:
    for where, table in tables(raw, GROUPS):
        yield (*where, "id"), table.get("id")


def _is_id(value: object) -> TypeGuard[int]:
    return is_integer(value) and 1 <= value <= RATING_GROUP_MAX


def _strange_groups(raw: object, own: object) -> Iterator[Finding]:
    """The rating group of an endpoint is there."""
    groups = at(raw, GROUPS)
    ids = [one for _, one in _ids(raw) if _is_id(one)]
    if not isinstance(groups, list) or len(ids) < len(groups):
        return  # which ones there are is not known before that is put right
    known = {0, *ids}
    some = ", ".join(map(str, [0, *ids][:IDS_SHOWN])) + ", ..." * (len(ids) >= IDS_SHOWN)
    for where, table in tables(raw, ENDPOINTS):
        group = table.get("rating_group", 0)
        if _is_id(group) and group not in known:
            path = GROUPS if at(own, ENDPOINTS) is None else (*where, "rating_group")
            what = f"exempt endpoint {shown(table.get('name'))}: no rating group has the id {group}"
            yield Finding(path, f"{what}; allowed: {some}")


def _ports(raw: object, locate: Locate) -> Iterator[Finding]:
    for where, table in tables(raw, ENDPOINTS):
        ports = table.get("ports")
        if isinstance(ports, list) and len(ports) > 1:
            places = (((*where, "ports", index), port) for index, port in enumerate(ports))
            yield from repeated(places, "port", locate)


class _Claim(NamedTuple):
    """A prefix as numbers: sorted, one that holds another comes first."""

    version: int
    first: int
    after: int
    path: Path
    protocols: tuple[str, ...]
    ports: frozenset[int]
    """EVERY_PORT alone, where the entry names none"""


def _claims(raw: object) -> Iterator[_Claim]:
    for path, table in tables(raw, ENDPOINTS):
        ports = table.get("ports", [])
        prefixes = table.get("prefixes")
        if not isinstance(ports, list) or not isinstance(prefixes, list):
            continue
        numbers = frozenset(port for port in ports if is_integer(port) and 1 <= port <= PORT_MAX)
        if ports and not numbers:
            continue
        numbers = numbers or ALL_PORTS
        protocol = table.get("protocol", "any")
        protocols = ANY_PROTOCOL if protocol == "any" else (str(protocol),)
        for index, prefix in enumerate(prefixes):
            try:
                net = ipaddress.ip_network(prefix if isinstance(prefix, str) else "")
            except ValueError:
                continue
            first = int(net.network_address)
            where = (*path, "prefixes", index)
            yield _Claim(
                net.version,
                first,
                first + net.num_addresses,
                where,
                protocols,
                numbers or ALL_PORTS,
            )


class _Around:
    """The claims around the current one, outermost first, by protocol and port.

    Prefixes that overlap are nested, so they form a stack; and so do those of one protocol and port.
    """

    def __init__(self) -> None:
        self._all: list[_Claim] = []
        self._by_port: defaultdict[tuple[str, int], list[_Claim]] = defaultdict(list)
        self._with_ports: defaultdict[str, list[_Claim]] = defaultdict(list)

    def leave(self, claim: _Claim) -> None:
        """Take away those that do not hold `claim`."""
        while self._all and (self._all[-1].version, self._all[-1].after) <= claim[:2]:
            for stack in self._stacks(self._all.pop()):
                stack.pop()

    def enter(self, claim: _Claim) -> None:
        """Put the claim inside the others."""
        self._all.append(claim)
        for stack in self._stacks(claim):
            stack.append(claim)

    def meeting(self, claim: _Claim) -> _Claim | None:
        """The outermost claim that matches some packet which `claim` matches too."""
        found = []
        for protocol in claim.protocols:
            if EVERY_PORT in claim.ports:
                found += self._with_ports[protocol][:1]
            for port in (EVERY_PORT, *claim.ports):
                found += self._by_port[protocol, port][:1]
        return min(found, key=lambda one: (one.first, -one.after), default=None)

    def _stacks(self, claim: _Claim) -> Iterator[list[_Claim]]:
        for protocol in claim.protocols:
            for port in claim.ports:
                yield self._by_port[protocol, port]
            if EVERY_PORT not in claim.ports:
                yield self._with_ports[protocol]


def _overlaps(raw: object, locate: Locate) -> Iterator[Finding]:
    """One finding for each prefix that lies in another: all of them could be as many as their square."""
    around = _Around()
    for claim in sorted(_claims(raw), key=lambda claim: (claim.version, claim.first, -claim.after)):
        around.leave(claim)
        other = around.meeting(claim)
        if other is not None:
            early, late = sorted((claim, other), key=lambda one: locate(one.path, False))
            line = locate(early.path, False).line
            yield Finding(
                late.path,
                f"overlaps the exempt prefix in line {line} for the same protocol and port",
            )
        around.enter(claim)
