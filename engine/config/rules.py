"""What must hold between the values of a configuration; each rule looks at the raw document.

The document may be wrong in any other way too (that is reported by itself), so a rule passes over
whatever does not have the type that it needs.
"""

import datetime
import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from engine import units
from engine.config.faults import Finding, Locate, Path, shown
from engine.config.model import CREDIT_LIMIT, RATE_BPS_MAX

RATE_OF_HIGH = ("high_down_bps", "high_up_bps")


def findings(raw: dict[str, Any], own: dict[str, Any], locate: Locate) -> list[Finding]:
    """All that is wrong between the values of `raw`, which is a file's `own` laid over the default.

    A finding between two values is put at the one that the file itself has.
    """
    return [
        *_default_plan(raw, own),
        *repeated(_names(raw, ("plan",)), "plan", locate),
        *repeated(_names(raw, ("exempt", "endpoint")), "exempt endpoint", locate),
        *_overlaps(raw, locate),
        *_credit(raw, own),
        *repeated(_names(raw, ("service",)), "service", locate),
        *repeated(_names(raw, ("option",)), "option", locate),
        *_services(raw, own),
        *_freeze(raw, own),
    ]


def at(raw: object, path: Iterable[str]) -> Any:
    """The value at a path of keys, or None."""
    for key in path:
        raw = raw.get(key) if isinstance(raw, dict) else None
    return raw


def tables(raw: object, path: tuple[str, ...]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Path and table of each table in the list at `path`."""
    items = at(raw, path)
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield (*path, index), item


def is_integer(value: object) -> bool:
    """An integer, which a boolean is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def _names(raw: object, path: tuple[str, ...]) -> Iterator[tuple[Path, object]]:
    for where, table in tables(raw, path):
        yield (*where, "name"), table.get("name")


def repeated(values: Iterable[tuple[Path, object]], what: str, locate: Locate) -> Iterator[Finding]:
    """A finding for each text that stood earlier in the list; what is no text is passed over."""
    first: dict[str, Path] = {}
    for path, value in values:
        if not isinstance(value, str):
            continue
        earlier = first.setdefault(value, path)
        if earlier != path:
            line = locate(earlier, False).line
            yield Finding(path, f"{what} {shown(value)} is there already, in line {line}")


def _default_plan(raw: dict[str, Any], own: dict[str, Any]) -> Iterator[Finding]:
    name = raw.get("default_plan")
    names = [plan for _, plan in _names(raw, ("plan",)) if isinstance(plan, str)]
    if isinstance(name, str) and names and name not in names:
        yield Finding(
            ("default_plan",) if "default_plan" in own else ("plan", 0),
            f"default_plan {shown(name)} is none of the plans; "
            f"allowed: {', '.join(map(shown, names))}",
        )


class _Claim(NamedTuple):
    """A prefix as numbers: sorted, one that holds another comes first."""

    version: int
    first: int
    after: int
    path: Path
    protocol: str
    ports: frozenset[int]

    def meets(self, other: "_Claim") -> bool:
        """Whether both match some packet, given that the prefixes overlap."""
        protocols = self.protocol == other.protocol or "any" in (self.protocol, other.protocol)
        ports = not self.ports or not other.ports or bool(self.ports & other.ports)
        return protocols and ports


def _claims(raw: object) -> Iterator[_Claim]:
    for path, table in tables(raw, ("exempt", "endpoint")):
        ports = table.get("ports", [])
        prefixes = table.get("prefixes")
        if not isinstance(ports, list) or not isinstance(prefixes, list):
            continue
        numbers = frozenset(port for port in ports if is_integer(port))
        for index, prefix in enumerate(prefixes):
            try:
                net = ipaddress.ip_network(prefix if isinstance(prefix, str) else "")
            except ValueError:
                continue
            first = int(net.network_address)
            where = (*path, "prefixes", index)
            protocol = str(table.get("protocol", "any"))
            yield _Claim(net.version, first, first + net.num_addresses, where, protocol, numbers)


def _overlaps(raw: object, locate: Locate) -> Iterator[Finding]:
    """Prefixes that overlap are nested, so those around the current one form a stack."""
    around: list[_Claim] = []
    order = sorted(_claims(raw), key=lambda claim: (claim.version, claim.first, -claim.after))
    for claim in order:
        while around and (around[-1].version, around[-1].after) <= (claim.version, claim.first):
            around.pop()
        for other in around:
            if claim.meets(other):
                early, late = sorted((claim, other), key=lambda one: locate(one.path, False))
                line = locate(early.path, False).line
                yield Finding(
                    late.path,
                    f"overlaps the exempt prefix in line {line} for the same protocol and port",
                )
        around.append(claim)


def _credit(raw: dict[str, Any], own: dict[str, Any]) -> Iterator[Finding]:
    """The queue's time at the state's rate must be a credit that fits (bit-ns)."""
    for state in ("slow", "restricted"):
        queue = ("speed", state, "queue_ms")
        rate = ("speed", state, "rate_bps")
        what = _too_long(at(raw, queue), at(raw, rate), queue)
        if what:
            yield Finding(rate if at(own, queue) is None else queue, what)
    queue = ("speed", "high", "queue_ms")
    for where, plan in tables(raw, ("plan",)):
        for key in RATE_OF_HIGH:
            what = _too_long(at(raw, queue), plan.get(key), queue)
            if what:
                yield Finding((*where, key) if "plan" in own else queue, what)


def _too_long(queue_ms: Any, rate_bps: Any, path: tuple[str, ...]) -> str:
    if not is_integer(queue_ms) or not is_integer(rate_bps):
        return ""
    if not 1 <= rate_bps <= RATE_BPS_MAX:
        return ""
    most_ms = (CREDIT_LIMIT - 1) // (rate_bps * units.NS_PER_MS)
    if queue_ms <= most_ms:
        return ""
    return (
        f"a queue of {queue_ms} ms at {rate_bps} bit/s is more than the limiter counts; "
        f"allowed at this rate: {'.'.join(path)} up to {most_ms}"
    )


def _services(raw: dict[str, Any], own: dict[str, Any]) -> Iterator[Finding]:
    """The default service has lines; options are of services that are there."""
    services = {
        table["name"]: table.get("lines") is True
        for _, table in tables(raw, ("service",))
        if isinstance(table.get("name"), str)
    }
    name = raw.get("default_service")
    if isinstance(name, str) and services and not services.get(name):
        known = ", ".join(shown(one) for one, lines in services.items() if lines) or "none"
        yield Finding(
            ("default_service",) if "default_service" in own else ("service", 0),
            f"default_service {shown(name)} is none of the services with lines; allowed: {known}",
        )
    for where, table in tables(raw, ("option",)):
        names = table.get("services")
        for index, one in enumerate(names if isinstance(names, list) else ()):
            if isinstance(one, str) and services and one not in services:
                known = ", ".join(map(shown, services))
                path = (*where, "services", index) if "option" in own else ("service", 0)
                what = f"option {shown(table.get('name'))}: no service is called {shown(one)}"
                yield Finding(path, f"{what}; allowed: {known}")


def _freeze(raw: dict[str, Any], own: dict[str, Any]) -> Iterator[Finding]:
    """The freeze begins before the move."""
    freeze, moved = (at(raw, ("migration", key)) for key in ("freeze_from", "moved_on"))
    if type(freeze) is type(moved) is datetime.date and freeze > moved:
        key = "moved_on" if at(own, ("migration", "freeze_from")) is None else "freeze_from"
        what = f"the freeze begins on {freeze}, after the move on {moved}; allowed: before it"
        yield Finding(("migration", key), what)
