"""TOML -> `Scenario`: strict, with every fault named by file and key."""

import ipaddress
import json
import re
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from engine.errors import ConfigError
from gateway_sim.document import Document
from gateway_sim.population import Numbers, population
from gateway_sim.reader import Fault, Reader, shown
from gateway_sim.scenario import (
    EUTRAN,
    TCP,
    UDP,
    UTRAN,
    Attack,
    Contract,
    Coupon,
    Line,
    Scenario,
    Server,
)
from gateway_sim.terminals import Clock, activities, span
from gateway_sim.traffic.attacks import KINDS

_FOLDERS = (
    Path(__file__).parent / "scenarios",  # installed
    Path(__file__).parent.parent / "configs" / "scenarios",  # a checkout
)
_PROTOCOLS = {"tcp": TCP, "udp": UDP}
_RATS = {"lte": EUTRAN, "3g": UTRAN}
_DIGITS = {"imsi": (6, 15), "msisdn": (5, 15)}
"""digits that GTP-C has room for"""
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_VERBS: dict[str, dict[str, type[str] | type[bool] | type[int]]] = {
    "switch": {"line": str, "on": bool},
    "charge": {"contract": str, "coupons": int},
    "suspend": {"line": str},
    "resume": {"line": str},
    "attach": {"line": str},
    "detach": {"line": str},
}
TEID_MAX = (1 << 32) - 1
BYTES_MAX = 1 << 50
RATE_MAX = 1_000_000
EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
LATEST = datetime(2105, 1, 1, tzinfo=UTC)
"""a capture counts its seconds from 1970 in 32 bits; a scenario lasts up to 100 days"""


def names() -> list[str]:
    """Names of the scenarios that come with the program."""
    return sorted({path.stem for folder in _FOLDERS for path in folder.glob("*.toml")})


def titles() -> list[tuple[str, str]]:
    """Name and title of each of them that describes a capture."""
    found = []
    for name in names():
        top = Document.read(find(name)).top
        if "live" not in top.table:
            found.append((name, top.text("title", name)))
    return found


def find(scenario: str) -> Path:
    """The file of a scenario, given by path or by the name of one that comes with the program."""
    path = Path(scenario)
    if path.suffix == ".toml" or path.exists():
        return path
    for folder in _FOLDERS:
        packaged = folder / f"{scenario}.toml"
        if re.fullmatch(r"[\w-]+", scenario) and packaged.exists():
            return packaged
    known = ", ".join(names())
    raise ConfigError(f"{scenario}: no such scenario; name a TOML file or one of {known}")


def load(scenario: str | Path) -> Scenario:
    """Read a scenario; ConfigError has one line `FILE:LINE: key: what` for each fault."""
    path = find(str(scenario))
    document = Document.read(path)
    result = _scenario(document.top, path)
    if not document.faults:
        _check_unique(result, document.top)
        _check_together(result, document.top)
        _check_events(result, document.top)
    document.finish()
    return result


def _scenario(top: Reader, path: Path) -> Scenario:
    title = top.text("title", path.stem)
    seed = top.number("seed", 0, (1 << 63) - 1)
    clock = Clock.starting(_start(top), top.number("duration_s", 1, 100 * 86_400))
    sgw, pgw = _network(top.table_of("network"))
    servers = _servers(top)
    contracts = [_contract(reader, servers, clock) for reader in top.tables("contract")]
    numbers = Numbers(seed)
    for reader in top.tables("population"):
        contracts.extend(population(reader, servers, clock, numbers))
    made = Scenario(
        name=path.stem,
        title=title,
        seed=seed,
        start_ns=clock.start_ns,
        end_ns=clock.end_ns,
        sgw=sgw,
        pgw=pgw,
        contracts=tuple(contracts),
        events=tuple(_event(reader) for reader in top.tables("event")),
        midnight_ns=clock.midnight_ns,
        signalling=top.take("signalling", bool, False),
        attacks=tuple(_attack(reader, clock) for reader in top.tables("attack")),
        live=top.take("live", dict, None),
        steps=tuple(top.take("step", list, [])),
        path=str(path),
    )
    top.done()
    return made


def _start(top: Reader) -> datetime:
    """When it begins; after a fault, some time."""
    start = top.take("start", datetime)
    if start.tzinfo is None:
        if "start" in top.table:
            top.fault("start", "needs an offset, such as +09:00")
    elif EARLIEST <= start < LATEST:
        return start
    else:
        top.fault("start", f"must be from {EARLIEST.date()} to before {LATEST.date()}, UTC")
    return EARLIEST


def _network(reader: Reader) -> tuple[str, str]:
    """Addresses of the S-GW and the P-GW; a packet's direction follows from them."""
    sgw, pgw = reader.address("sgw", 4), reader.address("pgw", 4)
    if sgw and sgw == pgw:
        reader.fault("pgw", "must not be the address of the S-GW")
    reader.done()
    return sgw, pgw


def _servers(top: Reader) -> dict[str, Server]:
    """Servers by name."""
    servers: dict[str, Server] = {}
    for reader in top.tables("server"):
        server = _server(reader)
        if server.name and server.name in servers:
            reader.fault("name", f"{server.name!r} is the name of another server, too")
        servers.setdefault(server.name, server)
    return servers


def _server(reader: Reader) -> Server:
    server = Server(
        name=reader.text("name"),
        address=reader.address("address", 4),
        address6=reader.address("address6", 6, None),
        port=reader.number("port", 1, 65_535),
        protocol=_PROTOCOLS[reader.choice("protocol", _PROTOCOLS, "tcp")],
    )
    reader.done()
    return server


def _contract(reader: Reader, servers: dict[str, Server], clock: Clock) -> Contract:
    contract = Contract(
        code=reader.text("code"),
        plan=reader.text("plan"),
        started=reader.take("started", date),
        coupons=tuple(_coupon(coupon) for coupon in reader.tables("coupon")),
        lines=tuple(_line(line, servers, clock) for line in reader.tables("line")),
    )
    reader.done()
    return contract


def _coupon(reader: Reader) -> Coupon:
    coupon = Coupon(
        kind=reader.choice("kind", ("bundle", "topup")),
        coupon_bytes=reader.number("bytes", 0, BYTES_MAX),
        expires=reader.text("expires"),
    )
    if coupon.expires and not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", coupon.expires):
        reader.fault("expires", f"must be a month such as 2013-12, not {coupon.expires!r}")
    reader.done()
    return coupon


def _line(reader: Reader, servers: dict[str, Server], clock: Clock) -> Line:
    addresses = tuple(_address(reader, text) for text in reader.strings("addresses"))
    line = Line(
        code=reader.text("code"),
        imsi=_digits(reader, "imsi"),
        iccid=reader.text("iccid"),
        msisdn=_digits(reader, "msisdn"),
        addresses=addresses,
        teid_up=reader.number("teid_up", 1, TEID_MAX),
        teid_down=reader.number("teid_down", 1, TEID_MAX),
        coupon=reader.take("coupon", bool, True),
        balance_bytes=reader.number("balance_bytes", 0, BYTES_MAX, 0),
        activities=activities(reader, servers, clock, addresses),
        rat=_RATS[reader.choice("rat", _RATS, "lte")],
        moves_ns=_handover(reader, clock),
    )
    reader.done()
    return line


def _digits(reader: Reader, name: str) -> str:
    """A number as GTP-C can carry it."""
    low, high = _DIGITS[name]
    value = reader.text(name)
    if value and not (value.isascii() and value.isdecimal() and low <= len(value) <= high):
        reader.fault(name, f"must be {low} to {high} digits, not {value!r}")
    return value


def _handover(reader: Reader, clock: Clock) -> int:
    """`handover`: a time of the first day, or nothing."""
    when = reader.take("handover", time, None)
    if when is None:
        return 0
    moves_ns = clock.at(when)
    if not clock.start_ns < moves_ns < clock.end_ns:
        reader.fault("handover", "must be within the scenario")
    return moves_ns


def _address(reader: Reader, text: str) -> str:
    """An IPv4 address, or an IPv6 /64, in its usual form."""
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        network = None
    if network is None or "%" in text or network.prefixlen != (32 if network.version == 4 else 64):
        reader.fault("addresses", f"must be IPv4 addresses and IPv6 /64 prefixes, not {text!a:.60}")
        return text
    return str(network.network_address) if network.version == 4 else str(network)


def _attack(reader: Reader, clock: Clock) -> Attack:
    begin_ns, end_ns = span(reader, clock)
    kind = reader.choice("kind", KINDS)
    attack = Attack(kind, begin_ns, end_ns, reader.number("packets_per_s", 1, RATE_MAX))
    reader.done()
    return attack


def _event(reader: Reader) -> str:
    """One line of the event file; the engine reads the file again, strictly, when it is used."""
    at = reader.text("at")
    if at and not _is_instant(at):
        reader.fault("at", f"must be an instant with an offset, not {at!r}")
    verb = reader.choice("do", _VERBS)
    event: dict[str, Any] = {"at": at, "do": verb}
    if verb != reader.table.get("do"):
        return ""  # what else must be there is not known
    for key, kind in _VERBS[verb].items():
        event[key] = reader.take(key, kind)
    reader.done()
    return json.dumps(event)


def _is_instant(text: str) -> bool:
    """A time that the calendar has, with its offset."""
    if not _INSTANT.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _check_together(scenario: Scenario, top: Reader) -> None:
    """What only the whole scenario can tell."""
    if not scenario.signalling and any(line.moves_ns for line in scenario.lines()):
        top.fault("signalling", "must be true where there are handovers: they change a TEID")
    if scenario.attacks and not any(
        ":" not in line.addresses[0] for line in scenario.lines() if line.addresses
    ):
        top.fault("attack", "needs a line whose first address is IPv4: attacks come out of tunnels")


def _check_events(scenario: Scenario, top: Reader) -> None:
    """Whom an event is about is in the scenario; a line goes by any of its names."""
    known = {"contract": {contract.code for contract in scenario.contracts}, "line": set[str]()}
    for line in scenario.lines():
        known["line"].update((line.code, line.imsi, line.iccid, line.msisdn))
    for index, event in enumerate(map(json.loads, scenario.events)):
        for key, names_known in known.items():
            if key in event and event[key] not in names_known:
                what = f"no {key} of the scenario is {shown(event[key])}"
                top.faults.append(Fault(("event", index, key), what))


def _check_unique(scenario: Scenario, top: Reader) -> None:
    """No two lines share a code, a TEID or an address, and no two contracts a code."""
    codes: set[str] = set()
    for contract in scenario.contracts:
        if contract.code in codes:
            top.fault("contract", f"the code {contract.code} is taken")
        codes.add(contract.code)
    seen: dict[tuple[str, Any], str] = {}
    for line in scenario.lines():
        marks: list[tuple[str, Any]] = [("code", line.code), ("imsi", line.imsi)]
        teids = [line.teid_up, line.teid_down, *([line.teid_moved] if line.moves_ns else [])]
        marks += [("teid", teid) for teid in teids]
        marks += [("address", address) for address in line.addresses]
        for mark in marks:
            if mark in seen:
                what = f"{mark[0]} {mark[1]} of line {line.code} is also that of {seen[mark]}"
                top.fault("contract", what)
            seen.setdefault(mark, line.code)
    if not seen:
        top.fault("contract", "the scenario has no line")
