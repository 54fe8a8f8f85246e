"""What must hold between the values of a subscriber file; each rule looks at the raw document.

As in `engine.config.rules`, a rule passes over whatever does not have the type that it needs: that
is reported by itself.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from engine.config.faults import Finding, Locate, Path, shown
from engine.config.model import BYTES_MAX, Settings
from engine.config.rules import is_integer, repeated, tables
from engine.subscribers.model import outer_address, parse_address

Lines = list[tuple[Path, dict[str, Any]]]


def findings(raw: dict[str, Any], settings: Settings, locate: Locate) -> list[Finding]:
    """All that is wrong between values."""
    contracts = list(tables(raw, ("contract",)))
    lines = [
        ((*path, *where), line)
        for path, contract in contracts
        for where, line in tables(contract, ("line",))
    ]
    return [
        *_plans(contracts, settings),
        *repeated(_values(contracts, "code"), "contract", locate),
        *repeated(_values(lines, "code"), "line", locate),
        *repeated(_values(lines, "imsi"), "IMSI", locate),
        *repeated(_values(lines, "iccid"), "ICCID", locate),
        *repeated(_values(lines, "msisdn"), "MSISDN", locate),
        *_addresses(lines, locate),
        *_tunnels(lines, locate),
        *_volumes(contracts, lines),
    ]


def _values(items: Lines, key: str) -> Iterator[tuple[Path, object]]:
    return (((*path, key), item[key]) for path, item in items if key in item)


def _plans(contracts: Lines, settings: Settings) -> Iterator[Finding]:
    """The plan is one of the configuration, and has a SIM for each line (L4)."""
    sims_max = {plan.name: plan.sims_max for plan in settings.plans}
    for path, contract in contracts:
        lines = len(list(tables(contract, ("line",))))
        ordered = contract.get("next_plan")
        later = ordered.get("plan") if isinstance(ordered, dict) else None
        for name, where in (
            (contract.get("plan"), ("plan",)),
            (later, ("next_plan", "plan")),
        ):
            if not isinstance(name, str):
                continue
            if name not in sims_max:
                known = ", ".join(map(shown, sims_max))
                what = f"no plan of the configuration is called {shown(name)}; allowed: {known}"
                yield Finding((*path, *where), what)
            elif lines > sims_max[name]:
                most = sims_max[name]
                what = f"one line too many; allowed: {most} in plan {shown(name)}"
                yield Finding((*path, "line", most), what)


class _Span(NamedTuple):
    """Addresses as numbers: sorted, a /64 comes before what is inside it."""

    version: int
    first: int
    after: int
    order: int
    path: Path


def _spans(lines: Lines) -> Iterator[_Span]:
    order = 0
    for path, line in lines:
        addresses = line.get("addresses")
        for index, text in enumerate(addresses if isinstance(addresses, list) else ()):
            try:
                value, length = parse_address(text if isinstance(text, str) else "")
            except ValueError:
                continue
            order += 1
            after = int(value) + (1 << value.max_prefixlen - length)
            where = (*path, "addresses", index)
            yield _Span(value.version, int(value), after, order, where)


def _addresses(lines: Lines, locate: Locate) -> Iterator[Finding]:
    """No address is two lines', nor twice one's, nor inside another's /64."""
    around: _Span | None = None
    for span in sorted(_spans(lines), key=lambda one: (one.version, one.first, -one.after)):
        if around and (around.version, around.after) > (span.version, span.first):
            early, late = sorted((around, span), key=lambda one: one.order)
            line = locate(early.path, False).line
            yield Finding(late.path, f"is, or overlaps, an address in line {line}")
        else:
            around = span


def _gateway(line: dict[str, Any]) -> str | None:
    """The gateway in canonical form; None where there is no right one."""
    try:
        return outer_address(line["gateway"])
    except (KeyError, ValueError, TypeError):
        return None


class _Claim(NamedTuple):
    """A TEID of a line; without `gateway` it is looked for whatever address a packet goes to."""

    path: Path
    teid: int
    gateway: str | None


def _claims(lines: Lines) -> Iterator[_Claim]:
    for path, line in lines:
        for key in ("teid_up", "teid_down"):
            teid = line.get(key)
            if isinstance(teid, int) and is_integer(teid):
                # The S-GW's address, to which downlink goes, is not in the file.
                gateway = _gateway(line) if key == "teid_up" else None
                yield _Claim((*path, key), teid, gateway)


def _tunnels(lines: Lines, locate: Locate) -> Iterator[Finding]:
    """A TEID finds one line and one direction (TEIDs are unique per receiver only)."""
    for path, line in lines:
        if "gateway" in line and "teid_up" not in line:
            yield Finding((*path, "gateway"), "does nothing without teid_up; leave it out")
    claimed: dict[tuple[str | None, int], Path] = {}
    uplink: dict[tuple[bool, int], Path] = {}
    for path, teid, gateway in _claims(lines):
        local = gateway is not None
        rival = claimed.setdefault((gateway, teid), path)
        if path[-1] == "teid_up":
            # An uplink TEID at one gateway and the same at any gateway cannot be told apart either.
            uplink.setdefault((local, teid), path)
            rival = uplink.get((not local, teid), path) if rival == path else rival
        if rival != path:
            where = f"at {gateway} " if local else ""
            hint = "" if local else "; add `gateway` to both"
            what = f"TEID {teid} {where}is taken already, in line {locate(rival, False).line}{hint}"
            yield Finding(path, what)


def _volumes(contracts: Lines, lines: Lines) -> Iterator[Finding]:
    """The sum of all volumes fits in int64 with room to spare."""
    total = 0
    volumes = list(_values(lines, "balance_bytes"))
    for path, contract in contracts:
        for where, coupon in tables(contract, ("coupon",)):
            volumes += _values([((*path, *where), coupon)], "bytes")
    for path, volume in volumes:
        if not isinstance(volume, int) or not 0 <= volume <= BYTES_MAX:
            continue
        total += volume
        if total > BYTES_MAX:
            what = f"with it all volumes of the file add up to {total}; allowed: up to {BYTES_MAX}"
            yield Finding(path, what)
            return
