"""Many like lines from one table: codes, addresses and TEIDs follow from the line's number."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

from engine.units import NS_PER_S
from gateway_sim.draw import Draw
from gateway_sim.reader import Reader
from gateway_sim.scenario import Activity, Contract, Coupon, Line, Server
from gateway_sim.terminals import Clock, activities

LINES_MAX = 1_000_000
TEID_FIRST = 0x0010_0000


@dataclass
class Numbers:
    """The next free numbers, running through all populations of a scenario."""

    seed: int
    contract: int = 1
    line: int = 1


def population(
    reader: Reader, servers: dict[str, Server], clock: Clock, numbers: Numbers
) -> Iterator[Contract]:
    """The contracts of a `population` table; a line's activities begin up to `spread_s` later."""
    contracts = reader.number("contracts", 1, LINES_MAX)
    lines = reader.number("lines", 1, 100, 1)
    plan = reader.text("plan")
    started = reader.take("started", date)
    coupons = _coupons(reader)
    network = _network(reader, contracts * lines)
    spread_ns = reader.number("spread_s", 0, 86_400, 0) * NS_PER_S
    wanted = activities(reader, servers, clock, ("0.0.0.0",))
    reader.done()
    if reader.faults or network is None:
        return
    for index in range(contracts):
        code = f"hdd{numbers.contract:08d}"
        numbers.contract += 1
        made = []
        for place in range(lines):
            address = str(network[index * lines + place + 1])
            made.append(_line(numbers, address, wanted, spread_ns))
        yield Contract(code, plan, started, coupons, tuple(made))


def _coupons(reader: Reader) -> tuple[Coupon, ...]:
    """`coupon_bytes` and `expires`, together or not at all."""
    coupon_bytes = reader.number("coupon_bytes", 0, 1 << 50, 0)
    expires = reader.text("expires", "")
    if bool(coupon_bytes) != bool(expires):
        reader.fault("expires", "goes together with coupon_bytes")
    return (Coupon("bundle", coupon_bytes, expires),) if coupon_bytes else ()


def _network(reader: Reader, lines: int) -> ipaddress.IPv4Network | None:
    text = reader.text("network")
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError:
        reader.fault("network", f"must be an IPv4 prefix, not {text!r}")
        return None
    if network.num_addresses < lines + 2:
        reader.fault("network", f"{text} has no room for {lines} lines")
    return network


def _line(numbers: Numbers, address: str, wanted: tuple[Activity, ...], spread_ns: int) -> Line:
    number = numbers.line
    numbers.line += 1
    late_ns = int(Draw(numbers.seed, number).below(spread_ns, 1)[0])
    shifted = tuple(
        replace(item, begin_ns=min(item.begin_ns + late_ns, item.end_ns)) for item in wanted
    )
    return Line(
        code=f"hdo{number:08d}",
        imsi=f"44010{number:010d}",
        iccid=f"898110{number:013d}",
        msisdn=f"8190{number:08d}",
        addresses=(address,),
        teid_up=TEID_FIRST + 2 * number,
        teid_down=TEID_FIRST + 2 * number + 1,
        coupon=True,
        balance_bytes=0,
        activities=shifted,
    )
