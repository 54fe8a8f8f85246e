"""TOML -> `Scenario`: strict, with every fault named by file and key."""

import ipaddress
import json
import re
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from engine.errors import ConfigError
from gateway_sim.population import Numbers, population
from gateway_sim.reader import Reader
from gateway_sim.scenario import TCP, UDP, Contract, Coupon, Line, Scenario, Server
from gateway_sim.terminals import Clock, activities

_FOLDERS = (
    Path(__file__).parent / "scenarios",  # installed
    Path(__file__).parent.parent / "configs" / "scenarios",  # a checkout
)
_PROTOCOLS = {"tcp": TCP, "udp": UDP}
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


def names() -> list[str]:
    """Names of the scenarios that come with the program."""
    return sorted({path.stem for folder in _FOLDERS for path in folder.glob("*.toml")})


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
    """Read a scenario; ConfigError has one line `FILE: key: what` for each fault."""
    path = find(str(scenario))
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: cannot be read as TOML: {what}") from None
    faults: list[str] = []
    result = _scenario(Reader(table, "", faults), path.stem)
    if not faults:
        _check_unique(result, faults)
    if faults:
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in faults))
    return result


def _scenario(top: Reader, name: str) -> Scenario:
    title = top.text("title", name)
    seed = top.number("seed", 0, (1 << 63) - 1)
    start = top.take("start", datetime)
    if start.tzinfo is None:
        if "start" in top.table:
            top.fault("start", "needs an offset, such as +09:00")
        start = datetime(2013, 11, 5, tzinfo=UTC)
    clock = Clock.starting(start, top.number("duration_s", 1, 100 * 86_400))
    network = top.table_of("network")
    sgw, pgw = network.address("sgw", 4), network.address("pgw", 4)
    network.done()
    servers = {server.name: server for server in map(_server, top.tables("server"))}
    contracts = [_contract(reader, servers, clock) for reader in top.tables("contract")]
    numbers = Numbers(seed)
    for reader in top.tables("population"):
        contracts.extend(population(reader, servers, clock, numbers))
    events = tuple(_event(reader) for reader in top.tables("event"))
    top.done()
    return Scenario(
        name, title, seed, clock.start_ns, clock.end_ns, sgw, pgw, tuple(contracts), events
    )


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
    addresses = reader.strings("addresses")
    for address in addresses:
        _check_address(reader, address)
    line = Line(
        code=reader.text("code"),
        imsi=reader.text("imsi"),
        iccid=reader.text("iccid"),
        msisdn=reader.text("msisdn"),
        addresses=addresses,
        teid_up=reader.number("teid_up", 1, TEID_MAX),
        teid_down=reader.number("teid_down", 1, TEID_MAX),
        coupon=reader.take("coupon", bool, True),
        balance_bytes=reader.number("balance_bytes", 0, BYTES_MAX, 0),
        activities=activities(reader, servers, clock, addresses),
    )
    reader.done()
    return line


def _check_address(reader: Reader, text: str) -> None:
    """An IPv4 address, or an IPv6 /64."""
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        network = None
    if network is None or network.prefixlen != (32 if network.version == 4 else 64):
        reader.fault("addresses", f"must be IPv4 addresses and IPv6 /64 prefixes, not {text!r:.60}")


def _event(reader: Reader) -> str:
    """One line of the event file; the engine reads the file again, strictly, when it is used."""
    at = reader.text("at")
    if at and not _INSTANT.fullmatch(at):
        reader.fault("at", f"must be an instant with an offset, not {at!r}")
    verb = reader.choice("do", _VERBS)
    event: dict[str, Any] = {"at": at, "do": verb}
    for key, kind in _VERBS.get(verb, {}).items():
        event[key] = reader.take(key, kind)
    reader.done()
    return json.dumps(event)


def _check_unique(scenario: Scenario, faults: list[str]) -> None:
    """No two lines share a code, a TEID or an address, and no two contracts a code."""
    codes: set[str] = set()
    for contract in scenario.contracts:
        if contract.code in codes:
            faults.append(f"contract {contract.code}: this code is taken")
        codes.add(contract.code)
    seen: dict[tuple[str, Any], str] = {}
    for line in scenario.lines():
        marks: list[tuple[str, Any]] = [("code", line.code), ("imsi", line.imsi)]
        marks += [("teid", teid) for teid in (line.teid_up, line.teid_down)]
        marks += [("address", ipaddress.ip_network(address)) for address in line.addresses]
        for mark in marks:
            if mark in seen:
                faults.append(f"line {line.code}: {mark[0]} {mark[1]} is also that of {seen[mark]}")
            seen.setdefault(mark, line.code)
    if not seen:
        faults.append("contract: the scenario has no line")
