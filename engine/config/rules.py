"""What must hold between the values of a configuration; each rule looks at the raw document.

The document may be wrong in any other way too (that is reported by itself), so a rule passes over
whatever does not have the type that it needs.
"""

import datetime
from collections.abc import Iterable, Iterator
from typing import Any, TypeGuard

from engine import units
from engine.config.faults import Finding, Locate, Path, dotted, shown
from engine.config.kinds import RATE_BPS_MAX
from engine.config.model import BUCKET_BYTES_MAX, CREDIT_LIMIT, QUEUE_MS_MAX

RATE_OF_HIGH = ("high_down_bps", "high_up_bps")


def findings(raw: dict[str, Any], own: dict[str, Any], locate: Locate) -> list[Finding]:
    """All that is wrong between the values of `raw`, which is a file's `own` laid over the default.

    A finding between two values is put at the one that the file itself has.
    """
    return [
        *_default_plan(raw, own),
        *repeated(names(raw, ("plan",)), "plan", locate),
        *_credit(raw, own),
        *_police(raw, own),
        *repeated(names(raw, ("service",)), "service", locate),
        *repeated(names(raw, ("option",)), "option", locate),
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


def is_integer(value: object) -> TypeGuard[int]:
    """An integer, which a boolean is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def names(raw: object, path: tuple[str, ...]) -> Iterator[tuple[Path, object]]:
    """Path and value of the name of each table in the list at `path`."""
    for where, table in tables(raw, path):
        yield (*where, "name"), table.get("name")


def repeated(values: Iterable[tuple[Path, object]], what: str, locate: Locate) -> Iterator[Finding]:
    """A finding for each text or integer that stood earlier in the list; others are passed over."""
    first: dict[object, Path] = {}
    for path, value in values:
        if not isinstance(value, str) and not is_integer(value):
            continue
        earlier = first.setdefault(value, path)
        if earlier != path:
            line = locate(earlier, False).line
            yield Finding(path, f"{what} {shown(value)} is there already, in line {line}")


def _default_plan(raw: dict[str, Any], own: dict[str, Any]) -> Iterator[Finding]:
    name = raw.get("default_plan")
    plans = [plan for _, plan in names(raw, ("plan",)) if isinstance(plan, str)]
    if isinstance(name, str) and plans and name not in plans:
        yield Finding(
            ("default_plan",) if "default_plan" in own else ("plan", 0),
            f"default_plan {shown(name)} is none of the plans; "
            f"allowed: {', '.join(map(shown, plans))}",
        )


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
    if queue_ms > QUEUE_MS_MAX or not 1 <= rate_bps <= RATE_BPS_MAX:
        return ""  # refused for that already
    most_ms = (CREDIT_LIMIT - 1) // (rate_bps * units.NS_PER_MS)
    if queue_ms <= most_ms:
        return ""
    return (
        f"a queue of {queue_ms} ms at {rate_bps} bit/s is more than the limiter counts; "
        f"allowed at this rate: {'.'.join(path)} up to {most_ms}"
    )


def _rates(raw: dict[str, Any], own: dict[str, Any]) -> Iterator[tuple[Path, int, bool]]:
    """Path and value (bit/s) of each rate that is one, and whether the file itself says it."""
    for state in ("slow", "restricted"):
        path = ("speed", state, "rate_bps")
        rate = at(raw, path)
        if is_integer(rate) and 1 <= rate <= RATE_BPS_MAX:
            yield path, rate, at(own, path) is not None
    for where, plan in tables(raw, ("plan",)):
        for key in RATE_OF_HIGH:
            rate = plan.get(key)
            if is_integer(rate) and 1 <= rate <= RATE_BPS_MAX:
                yield (*where, key), rate, "plan" in own


def _police(raw: dict[str, Any], own: dict[str, Any]) -> Iterator[Finding]:
    """A marker's rates are whole bytes a second, and one with two buckets has something in both."""
    two = at(raw, ("police", "marker")) == "rfc2698"
    peak_bytes = ("police", "excess_burst_bytes")
    if two and at(raw, peak_bytes) == 0 and is_integer(at(raw, peak_bytes)):
        key = "marker" if at(own, peak_bytes) is None else "excess_burst_bytes"
        what = "rfc2698 needs a peak bucket (PBS): excess_burst_bytes is 0"
        yield Finding(("police", key), f"{what}; allowed: 1 .. {BUCKET_BYTES_MAX}")
    if raw.get("limiter") != "police":
        return
    peak = ("police", "peak_percent")
    percent = at(raw, peak)
    for path, rate, said in _rates(raw, own):
        if rate < units.BITS_PER_BYTE:
            what = f"a policer counts whole bytes a second; {dotted(path)} is {rate}"
            allowed = f"{units.BITS_PER_BYTE} .. {RATE_BPS_MAX}"
            yield Finding(path if said else ("limiter",), f"{what}; allowed: {allowed}")
        if two and is_integer(percent) and rate * percent // 100 > RATE_BPS_MAX:
            what = f"{percent} % of {dotted(path)} is more than {RATE_BPS_MAX} bit/s"
            most = RATE_BPS_MAX * 100 // rate
            yield Finding(
                path if at(own, peak) is None else peak,
                f"{what}; allowed: peak_percent up to {most}, or a lower rate",
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
