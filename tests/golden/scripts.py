"""The golden cases: what happens in each capture, told once for the bytes and once for the twin."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from tests.golden import frames
from tests.oracle.cases import Case, ContractSpec, CouponSpec, Event, ExemptSpec, LineSpec, Packet
from tests.oracle.directed import DEC, MB, MS, T0, S
from tests.oracle.limiter import Rate

GB = 2**30
SERVER, SERVER6 = "198.51.100.7", "2001:db8:ffff::7"
DNS, DNS6 = "192.0.2.53", "2001:db8::53"
SLOW = Rate(200_000, 15_000, 64_000, 3_000)
RESTRICTED = Rate(50_000, 15_000, 64_000, 3_000)
VLAN, QINQ = 0x8100, 0x88A8
PLAN = "family-share"
DNS_GROUP, WEB_GROUP = 10, 30
PACKAGED = ExemptSpec(((DNS_GROUP, 52_428_800),))
"""what of the packaged exempt list the scripts use"""

SERVERS = {DNS_GROUP: DNS, WEB_GROUP: "192.0.2.80"}
PORTS = {DNS_GROUP: 53, WEB_GROUP: 443}

Encapsulation = Callable[[int, int, bytes], bytes]
"""(number of the line, direction, inner packet) -> frame"""


@dataclass
class Script:
    """A capture being written: `steps` tell the twin what `captured` shows on the wire.

    `second_legs` are the places in `steps` of packets that another SIM sent and that have no frame of
    their own. `config` is the text of a configuration file, of which `exempt` tells the twin.
    """

    contracts: tuple[ContractSpec, ...]
    encapsulation: Encapsulation
    snaplen_bytes: int = 120
    ue_nets: tuple[str, ...] = ()
    teids: bool = True
    addresses: Callable[[int], str] = "10.1.0.{}".format
    far: str = SERVER
    dns: str = DNS
    steps: list[Packet | Event] = field(default_factory=list)
    captured: list[tuple[int, bytes]] = field(default_factory=list)
    second_legs: set[int] = field(default_factory=set)
    config: str | None = None
    exempt: ExemptSpec = PACKAGED

    def lines(self) -> list[str]:
        """Codes of all lines; a line's number is its place here, from 1."""
        return [line.code for contract in self.contracts for line in contract.lines]

    def packet(
        self, at_ns: int, number: int, direction: int, size_bytes: int, *, exempt: bool = False
    ) -> None:
        """A packet between a SIM and a server, or the operator's DNS."""
        near, far = self.addresses(number), self.dns if exempt else self.far
        ports = (40_000, 53 if exempt else 9_000)
        ends = (far, near) if direction else (near, far)
        inner = frames.ip_udp(*ends, ports[::-1] if direction else ports, size_bytes)
        self.captured.append((at_ns, self.encapsulation(number, direction, inner)))
        line = self.lines()[number - 1]
        group = DNS_GROUP if exempt else 0
        self.steps.append(Packet(at_ns, line, direction, size_bytes, exempt, group))

    def listed(
        self, at_ns: int, number: int, direction: int, size_bytes: int, group: int, **fields: Any
    ) -> None:
        """A packet between a SIM and the server of a rating group; `fields` are those of the twin's."""
        line = self.lines()[number - 1]
        step = Packet(at_ns, line, direction, size_bytes, True, group, **fields)
        port = 9_000 if step.odd_port else PORTS[group]
        ports = (port, 40_000) if direction else (40_000, port)
        ends = self.addresses(number), SERVERS[group]
        ends = ends[::-1] if direction else ends
        if step.piece == "whole":
            inner = frames.ip_udp(*ends, ports, size_bytes)
        else:
            shown = ports if step.piece == "first" else None
            inner = frames.ip_fragment(*ends, shown, step.label, size_bytes)
        self.captured.append((at_ns, self.encapsulation(number, direction, inner)))
        self.steps.append(step)

    def to_each_other(self, at_ns: int, sender: int, receiver: int, size_bytes: int) -> None:
        """One packet from a SIM to another, seen once."""
        ends = self.addresses(sender), self.addresses(receiver)
        inner = frames.ip_udp(*ends, (40_000, 40_000), size_bytes)
        self.captured.append((at_ns, self.encapsulation(sender, 0, inner)))
        codes = self.lines()
        self.steps.append(Packet(at_ns, codes[sender - 1], 0, size_bytes))
        self.second_legs.add(len(self.steps))
        self.steps.append(Packet(at_ns, codes[receiver - 1], 1, size_bytes))

    def case(self) -> Case:
        """The same story for the twin, under the settings of configs/iijmio.toml, or of `config`."""
        return Case(
            tuple(self.steps),
            self.contracts,
            slow=SLOW,
            restricted=RESTRICTED,
            restriction_bytes=384_000_000,
            bundle_bytes=GB,
            exempt=self.exempt,
        )

    def tunnels(self) -> dict[tuple[int, str], list[int]]:
        """[packets, inner bytes] by TEID and receiver, none without GTP."""
        found: dict[tuple[int, str], list[int]] = {}
        codes = self.lines()
        for step in self.steps if self.teids else ():
            if isinstance(step, Packet):
                teid = 2 * (codes.index(step.line) + 1) + step.direction
                receiver = frames.SGW if step.direction else frames.GATEWAY
                entry = found.setdefault((teid, receiver), [0, 0])
                entry[0] += 1
                entry[1] += step.size_bytes
        return found

    def pcap(self) -> bytes:
        """The capture."""
        return frames.pcap(self.captured, self.snaplen_bytes)

    def subscribers(self) -> str | None:
        """The subscriber file, or None where `--ue-net` takes its place."""
        return None if self.ue_nets else _subscribers(self)

    def events(self) -> str | None:
        """The event file, or None without events."""
        lines = [_event(step) for step in self.steps if isinstance(step, Event)]
        return "".join(line + "\n" for line in lines) or None


def _subscribers(script: Script) -> str:
    out = []
    number = 0
    for contract in script.contracts:
        out.append(
            f'[[contract]]\ncode = "{contract.code}"\nplan = "{PLAN}"\n'
            f"started = {contract.started.isoformat()}\n"
        )
        for coupon in contract.coupons or ():
            out.append(
                f'[[contract.coupon]]\nkind = "{coupon.kind}"\nbytes = {coupon.size_bytes}\n'
                f'expires = "{coupon.year}-{coupon.month:02}"\n'
            )
        for line in contract.lines:
            number += 1
            out.append(_line(line, number, script))
    return "\n".join(out)


def _line(line: LineSpec, number: int, script: Script) -> str:
    address = script.addresses(number)
    prefix = address.rpartition(":")[0] + ":/64" if ":" in address else address
    text = (
        f'[[contract.line]]\ncode = "{line.code}"\nimsi = "44010000000000{number}"\n'
        f"coupon = {str(line.coupon_on).lower()}\nbalance_bytes = {line.balance_bytes}\n"
        f'addresses = ["{prefix}"]\n'
    )
    if script.teids:
        text += f"teid_up = {2 * number}\nteid_down = {2 * number + 1}\n"
    return text


def _event(step: Event) -> str:
    event: dict[str, object] = {"at_ns": step.at_ns, "do": step.do}
    if step.do == "charge":
        return json.dumps({**event, "contract": step.contract, "coupons": step.coupons})
    event["line"] = step.line
    return json.dumps({**event, "on": step.on} if step.do == "switch" else event)


def _tunnelled(number: int, direction: int, inner: bytes) -> bytes:
    return frames.ethernet(frames.gpdu(2 * number + direction, inner, up=direction == 0))


def _with_container(number: int, direction: int, inner: bytes) -> bytes:
    up = direction == 0
    return frames.ethernet(frames.gpdu(2 * number + direction, inner, up=up, container=up))


def _plain(number: int, direction: int, inner: bytes) -> bytes:
    return frames.ethernet(inner)


def _tagged(number: int, direction: int, inner: bytes) -> bytes:
    stacks = [((VLAN, 100),), ((QINQ, 7), (VLAN, 100)), ((VLAN, 1), (VLAN, 2), (VLAN, 3))]
    return frames.ethernet(inner, stacks[number % 3])


def _family(count: int, *coupons: CouponSpec) -> tuple[ContractSpec, ...]:
    lines = tuple(LineSpec(f"hdo0000000{k}") for k in range(1, count + 1))
    return (ContractSpec("hdd00000001", lines, coupons),)


def family_exhausted() -> Script:
    """D1, D2, D5, D7, P1, P2, X1: 25 MB for three SIMs go out as 10, 10 and 5 MB, then all are slow"""
    script = Script(_family(3, CouponSpec("bundle", 25 * MB, 2013, 12)), _tunnelled, 100)
    for k in range(540):
        script.packet(T0 + k * 10 * MS, k % 3 + 1, 1, 60_000)
        if k % 24 == 0:
            script.packet(T0 + k * 10 * MS, k % 3 + 1, 0, 64, exempt=True)
    for k in range(60):
        script.packet(T0 + 6 * S + k * 20 * MS, k % 3 + 1, k % 2, 1_400)
    return script


def switched_off() -> Script:
    """P2, P3, D4: one SIM's coupon goes off and on again by events; the other SIM is untouched"""
    script = Script(_family(2, CouponSpec("bundle", GB, 2013, 12)), _tunnelled)
    for k in range(300):
        at_ns = T0 + k * 5 * MS
        if k in (100, 220):
            script.steps.append(Event(at_ns, "switch", "hdo00000001", k == 220))
        script.packet(at_ns, 1 + k % 2, 1, 1_400)
    return script


def _strangers() -> tuple[ContractSpec, ...]:
    """SIMs known by nothing but their addresses, each a contract of the default plan."""
    codes = [f"10.1.0.{k}" for k in (1, 2, 3)]
    return tuple(ContractSpec(c, (LineSpec(c),), None, date(2013, 11, 1)) for c in codes)


def plain_ip() -> Script:
    """D1, S3, U3: no tunnel and no subscriber file; a packet between two SIMs is accounted to both"""
    script = Script(_strangers(), _plain, 1_600, ("10.1.0.0/16",), teids=False)
    for k in range(45):
        script.packet(T0 + k * MS, k % 3 + 1, k % 2, 60 + 31 * k)
        if k % 9 == 8:
            script.to_each_other(T0 + k * MS, k % 3 + 1, (k + 1) % 3 + 1, 500 + k)
    return script


def tunnelled_strangers() -> Script:
    """D1, S3, N6: G-PDUs of unknown sessions, told apart by the inner address"""
    script = Script(_strangers(), _tunnelled, ue_nets=("10.1.0.0/16",))
    for k in range(40):
        script.packet(T0 + k * MS, k % 3 + 1, k // 2 % 2, 60 + 31 * k, exempt=k % 8 == 7)
    return script


def ipv6() -> Script:
    """U3, N2, X1, X2: inner IPv6 from a /64, some behind a GTP extension header, and DNS"""
    script = Script(
        _family(2, CouponSpec("bundle", 30_000, 2013, 12)),
        _with_container,
        addresses=lambda number: f"2001:db8:1:{number}::5",
        far=SERVER6,
        dns=DNS6,
    )
    for k in range(90):
        script.packet(T0 + k * 3 * MS, 1 + k % 2, k // 2 % 2, 100 + 13 * k, exempt=k % 10 == 9)
    return script


def vlan() -> Script:
    """U3: one to three VLAN tags are looked through, subscribers are found by their address"""
    script = Script(_family(3, CouponSpec("topup", 9_000, 2013, 12)), _tagged, teids=False)
    for k in range(60):
        script.packet(T0 + k * 40 * MS, k % 3 + 1, k % 2, 900)
    return script


def month_end() -> Script:
    """C1, C6, D6, G9, U2: at 00:00 JST the old coupon is gone, and a new bundle is there"""
    script = Script(_family(3, CouponSpec("bundle", 15 * MB, 2013, 11)), _tunnelled)
    for k in range(-20, 20):
        script.packet(DEC + k, 1 if k < -10 else 2 + k % 2 if k >= 0 else 1, 0, 1_000)
    return script


CAPPED = """\
# DNS with a cap of 3 000 bytes a SIM and day, web without: small enough to be followed by hand.
[exempt]

[[exempt.rating_group]]
id = 10
name = "dns"
cap_bytes_per_day = 3_000

[[exempt.rating_group]]
id = 30
name = "web"

[[exempt.endpoint]]
name = "dns"
prefixes = ["192.0.2.53/32"]
protocol = "udp"
ports = [53]
rating_group = 10

[[exempt.endpoint]]
name = "web"
prefixes = ["192.0.2.80/32"]
protocol = "udp"
ports = [443]
rating_group = 30
"""


def exempt_groups() -> Script:
    """X1-X4, B34, B36, B37, B41x: two groups, fragments, a cap; the second SIM's coupon is off"""
    contracts = _family(2, CouponSpec("bundle", 4_000, 2013, 12))
    lines = contracts[0].lines[0], LineSpec("hdo00000002", coupon_on=False)
    script = Script(
        (ContractSpec("hdd00000001", lines, contracts[0].coupons),),
        _tunnelled,
        config=CAPPED,
        exempt=ExemptSpec(((DNS_GROUP, 3_000), (WEB_GROUP, 0))),
    )
    for k in range(40):
        at_ns, number = T0 + k * 7 * MS, 1 + k % 2
        script.listed(at_ns, number, k // 2 % 2, 80 + 7 * k, DNS_GROUP)
        script.listed(at_ns + 1, number, 1, 1_400, WEB_GROUP, odd_port=k % 10 == 9)
        script.packet(at_ns + 2, number, 1, 300)
    for k, odd in enumerate((False, True, False)):
        at_ns = T0 + S + k * MS
        later: dict[str, Any] = {"piece": "later", "label": 500 + k // 2}
        script.listed(at_ns, 2, 1, 540, WEB_GROUP, **later)
        first = {**later, "piece": "first", "odd_port": odd}
        script.listed(at_ns + 1, 2, 1, 1_500, WEB_GROUP, **first)
        script.listed(at_ns + 2, 2, 1, 540, WEB_GROUP, **later)
        script.listed(at_ns + 3, 2, 0, 540, WEB_GROUP, **later)
        script.listed(at_ns + 31 * S, 2, 1, 540, WEB_GROUP, **{**later, "label": 999})
    script.steps.sort(key=lambda step: step.at_ns)
    script.captured.sort(key=lambda frame: frame[0])
    return script


SCRIPTS: dict[str, Callable[[], Script]] = {
    "family-exhausted": family_exhausted,
    "switched-off": switched_off,
    "plain-ip": plain_ip,
    "tunnelled-strangers": tunnelled_strangers,
    "ipv6": ipv6,
    "vlan": vlan,
    "month-end": month_end,
    "exempt-groups": exempt_groups,
}
