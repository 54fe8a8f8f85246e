"""Two engines on the same book, one given as contracts and one as a table, and a story that both are told.

Stories are made from a seed: strangers, fragments of a month's end, sessions that take what others have,
cards that are replaced. What a table may change is who is listed, and nothing else.
"""

import random
from datetime import date
from typing import Any, NamedTuple

import numpy as np

from engine.errors import PktollError
from engine.layout import PACKET, PACKET_GTP, PACKET_V6
from engine.runtime import Engine
from engine.subscribers import Book, Contract, Coupon, Line
from engine.subscribers.model import NextPlan
from engine.wire.addresses import parse_address

T0_NS = 1_385_736_000_000_000_000
"""2013-11-29 23:40 JST, less than two days before a month's end"""
HOUR_NS = 3_600 * 10**9
MB = 1 << 20
GATEWAYS = "192.0.2.1", "192.0.2.2", "2001:db8:9::1"
ELSEWHERE = "192.0.2.9"
SERVER = "203.0.113.7"
STRANGERS = "10.9.9.9", "2001:db8:dead::1", SERVER
PLANS = {"minimum-start": 1, "light-start": 1, "family-share": 3}


class Story(NamedTuple):
    """A book, and what happens: (verb of Engine, arguments) or a batch of packets."""

    book: Book
    steps: list[tuple[str, Any]]


def book(dice: random.Random) -> Book:
    """Up to eight contracts with everything that a table can say."""
    numbers = iter(range(1, 100))
    contracts = []
    for at in range(dice.randint(3, 12)):
        plan = dice.choice([*PLANS, "family-share"])
        lines = tuple(_line(dice, next(numbers)) for _ in range(dice.randint(0, PLANS[plan])))
        ordered = dice.choice([None, None, NextPlan("family-share", "2013-12")])
        contracts.append(
            Contract(
                f"hdd{at:08}",
                plan,
                dice.choice([date(2013, 3, 9), date(2013, 11, 16), date(2013, 12, 1)]),
                lines,
                coupons=dice.choice([None, (), _coupons(dice)]),
                ends=dice.choice([None] * 6 + ["2013-11", "2013-10"]),
                next_plan=ordered,
                ipv6=dice.random() < 0.3,
            )
        )
    return Book(tuple(contracts))


def _coupons(dice: random.Random) -> tuple[Coupon, ...]:
    months = ["2013-10", "2013-11", "2013-12", "2014-01"]
    sizes = [1_000, 70_000, 12 * MB]
    kinds: list[Any] = ["bundle", "topup"]
    return tuple(
        Coupon(dice.choice(kinds), dice.choice(sizes), dice.choice(months)) for _ in range(2)
    )


def _line(dice: random.Random, number: int) -> Line:
    four, six = f"10.0.0.{number}", f"2001:db8:0:{number:x}::/64"
    addresses = dice.choice([(four,), (four,), (six,), (four, six), (six, four), ()])
    gateway = dice.choice([None, *GATEWAYS])
    # At different gateways one TEID may be two lines'.
    teid = number % 4 + 1 if gateway == GATEWAYS[number % 3] and number < 4 else 100 + number
    tunnelled = dice.random() < 0.6
    return Line(
        f"hdo{number:08}",
        imsi=dice.choice([f"44010{number:010}", None]),
        iccid=dice.choice([f"898103{number:013}", None]),
        msisdn=dice.choice([f"0900{number:07}", None]),
        coupon=dice.random() < 0.8,
        balance_bytes=dice.choice([0, 0, 900, 3 * MB]),
        addresses=addresses,
        teid_up=teid if tunnelled else None,
        teid_down=200 + number if tunnelled and dice.random() < 0.7 else None,
        gateway=gateway if tunnelled else None,
        in_service=dice.random() < 0.95,
        ends=dice.choice([None] * 8 + ["2013-11", "2013-10"]),
    )


def story(seed: int, steps_max: int = 12) -> Story:
    """The story of a seed: at any time it is about a few of the lines, so that others sleep meanwhile."""
    dice = random.Random(seed)
    told = book(dice)
    steps: list[tuple[str, Any]] = []
    now_ns = T0_NS
    for _ in range(dice.randint(1, steps_max)):
        few = Book(tuple(dice.sample(told.contracts, 2)))
        batch = _packets(dice, few, now_ns)
        steps.append(("packets", batch))
        now_ns = int(batch["time_ns"][-1])
        steps.append(_verb(dice, few, now_ns) if dice.random() < 0.6 else ("nothing", {}))
    return Story(told, steps)


def _end(dice: random.Random, told: Book) -> str:
    lines = [line for contract in told.contracts for line in contract.lines]
    known = [text for line in lines for text in line.addresses]
    if not known or dice.random() < 0.1:
        return dice.choice([*STRANGERS, "10.77.0.1", "10.77.0.2"])
    text = dice.choice(known)
    return text.replace("::/64", f"::{dice.randint(1, 3)}") if "/64" in text else text


def _packets(dice: random.Random, told: Book, now_ns: int) -> Any:
    batch = np.zeros(dice.randint(1, 12), dtype=PACKET)
    lines = [line for contract in told.contracts for line in contract.lines]
    teids = [line.teid_up for line in lines] + [line.teid_down for line in lines]
    known = [teid for teid in teids if teid is not None] or [7]
    for packet in batch:
        now_ns += dice.choice([0, 1, 10**6, 10**9, HOUR_NS, 23 * HOUR_NS])
        ends = _end(dice, told), dice.choice([SERVER, SERVER, _end(dice, told)])
        source, destination = ends if dice.random() < 0.5 else ends[::-1]
        packet["time_ns"] = now_ns
        packet["src_hi"], packet["src_lo"] = parse_address(source)
        packet["dst_hi"], packet["dst_lo"] = parse_address(destination)
        packet["length"] = dice.choice([40, 1_400, 60_000])
        packet["endpoint"] = -1
        packet["flags"] = PACKET_V6 * (":" in source)
        if dice.random() < 0.7:
            packet["flags"] |= PACKET_GTP
            packet["teid"] = dice.choice(known) if dice.random() < 0.8 else dice.randint(900, 905)
            packet["endpoint"] = dice.randint(-1, len(GATEWAYS))
    return batch


def _verb(dice: random.Random, told: Book, now_ns: int) -> tuple[str, Any]:
    lines = [line for contract in told.contracts for line in contract.lines]
    names = [n for line in lines for n in (line.code, line.imsi, line.iccid) if n] or ["hdo-nobody"]
    name = dice.choice([*names, "hdo-nobody"])
    code = dice.choice([*(contract.code for contract in told.contracts), "hdd-nobody"])
    number = dice.randint(1, 30) if dice.random() < 0.5 or not lines else _number(dice, lines)
    imsi = dice.choice([f"44010{number:010}", f"44010{number + 500:010}"])
    session = {
        "imsi": imsi,
        "teid_up": dice.choice([None, 100 + number, number % 4 + 1]),
        "teid_down": dice.choice([None, 200 + number]),
        "gateway": dice.choice([None, *GATEWAYS]),
        "address": dice.choice([None, f"10.0.0.{number}", f"2001:db8:0:{number:x}::/64"]),
    }
    ends = {key: value for key, value in session.items() if key in ("teid_up", "gateway")}
    choices: list[tuple[str, dict[str, Any]]] = [
        ("switch_coupon", {"line": name, "on": dice.random() < 0.5, "at_ns": now_ns}),
        ("suspend", {"line": name, "at_ns": now_ns}),
        ("resume", {"line": name, "at_ns": now_ns}),
        ("open_session", {"line": name, "at_ns": now_ns}),
        ("detach", {"line": name, "at_ns": now_ns}),
        ("charge", {"contract": code, "coupons": 2, "at_ns": now_ns}),
        ("replace_sim", {"line": name, "iccid": f"898103{number:013}", "at_ns": now_ns}),
        ("attach", {**session, "at_ns": now_ns}),
        ("attach", {**session, "contract": code, "at_ns": now_ns}),
        ("attach", {**session, "known_only": True, "at_ns": now_ns}),
        ("bind_bearer", {"line": name, **ends}),
        ("release_bearer", {"line": name, **ends}),
        ("nothing", {}),
    ]
    return dice.choice(choices)


def _number(dice: random.Random, lines: list[Line]) -> int:
    return int(dice.choice(lines).code.removeprefix("hdo"))


def tell(engine: Engine, known: Any, steps: list[tuple[str, Any]]) -> list[Any]:
    """Load the book, or the table, and do everything; the verdicts, and what was refused."""
    for gateway in (*GATEWAYS, ELSEWHERE):  # numbered as the packets have them
        engine.endpoints.intern(*parse_address(gateway))
    engine.load(known, T0_NS)
    answers: list[Any] = []
    for verb, what in steps:
        if verb == "packets":
            answers.append(engine.process(what).tolist())
        elif verb != "nothing":
            try:
                answers.append(getattr(engine, verb)(**what))
            except PktollError as error:
                answers.append((type(error).__name__, str(error)))
    return answers


def idle(sim: dict[str, Any]) -> bool:
    """Whether a SIM of a report had nothing: it may be left out by those who list who was named."""
    return sim["grants"] == 0 and all(not any(sim[way].values()) for way in ("up", "down"))
