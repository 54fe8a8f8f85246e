"""Exempt or not, from raw bytes: packets made by scapy, read by the capture reader, metered by the engine.

The Ethernet header is put on by hand: scapy's would ask the network for the other end's address.
The settings are the packaged ones: DNS, mail and web servers as in configs/iijmio.toml.
"""

import itertools
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from scapy.contrib.gtp import GTP_U_Header
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.packet import Packet, Raw

from engine import config, replay, verdict
from engine.pool.store import open_store
from engine.runtime import Engine
from engine.subscribers import Book, Contract, Coupon, Line
from engine.wire import MODE_GTP, MODE_IP
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints
from tests.support.gateway import MS, T0, names
from tests.support.packets import ethernet, pcap

UE, UE6, SERVER, SERVER6 = "10.1.0.1", "2001:db8:0:1::1", "198.51.100.7", "2001:db8:ffff::7"
DNS, DNS6 = "192.0.2.53", "2001:db8::53"
UP_TEID, DOWN_TEID = 11, 12
SGW, PGW = "192.168.1.1", "192.168.1.2"


def book(coupon: str) -> Book:
    """One SIM whose coupon is `off`, or `empty`, or `on`."""
    mine = Line(
        code="a",
        imsi="440100000000001",
        coupon=coupon != "off",
        addresses=(UE, "2001:db8:0:1::/64"),
        teid_up=UP_TEID,
        teid_down=DOWN_TEID,
    )
    coupons = () if coupon == "empty" else (Coupon("bundle", 1 << 20, "2013-12"),)
    return Book((Contract("hdd1", "light-start", date(2013, 11, 1), (mine,), coupons),))


def tunnelled(packet: Packet) -> Packet:
    """In a G-PDU of the SIM's session, up or down by its addresses."""
    up = packet.src in (UE, UE6)
    ends = {"src": SGW, "dst": PGW} if up else {"src": PGW, "dst": SGW}
    header = GTP_U_Header(teid=UP_TEID if up else DOWN_TEID, gtp_type=255)
    return IP(**ends) / UDP(sport=2152, dport=2152) / header / packet


def frames(packets: Sequence[Packet], start_ns: int, gap_ns: int) -> list[Any]:
    """Ethernet frames with their times."""
    times = itertools.count(start_ns, gap_ns)
    return [(at_ns, ethernet(bytes(packet))) for at_ns, packet in zip(times, packets, strict=False)]


class Run:
    """What a gateway makes of frames: names of the verdicts, departures less arrivals, the SIM's report."""

    def __init__(
        self, folder: Path, frames_: list[Any], coupon: str = "off", mode: int = MODE_IP
    ) -> None:
        path = folder / "frames.pcap"
        path.write_bytes(pcap(frames_, magic=0xA1B23C4D))
        settings, endpoints = config.load(None), Endpoints()
        with Engine(settings, open_store(None), endpoints=endpoints) as engine:
            engine.load(book(coupon), T0)
            self.names: list[str] = []
            self.waits: list[int] = []
            for batch in Capture(str(path), endpoints, mode):
                verdicts = engine.process(batch)
                self.names += names(verdicts)
                self.waits += (verdicts["departure_ns"] - batch["time_ns"]).tolist()
            self.report = engine.snapshot()
            self.sim = self.report["sims"][0]


def said(folder: Path, *packets: Packet, **options: Any) -> list[str]:
    return Run(folder, frames(packets, T0, MS), **options).names


SERVERS: dict[str, tuple[str, str, Any, int]] = {
    "DNS": (DNS, DNS6, UDP, 53),
    "DNS over TCP": (DNS, DNS6, TCP, 53),
    "SMTP": ("192.0.2.25", "2001:db8::25", TCP, 25),
    "POP3": ("192.0.2.25", "2001:db8::25", TCP, 110),
    "IMAP": ("192.0.2.25", "2001:db8::25", TCP, 143),
    "SMTP over TLS": ("192.0.2.25", "2001:db8::25", TCP, 465),
    "submission": ("192.0.2.25", "2001:db8::25", TCP, 587),
    "IMAP over TLS": ("192.0.2.25", "2001:db8::25", TCP, 993),
    "POP3 over TLS": ("192.0.2.25", "2001:db8::25", TCP, 995),
    "HTTP": ("192.0.2.80", "2001:db8::80", TCP, 80),
    "HTTPS": ("192.0.2.80", "2001:db8::80", TCP, 443),
}


def conversation(host: str, host6: str, kind: Any, port: int, size: int) -> list[Packet]:
    """Up and down, IPv4 and IPv6."""
    up, down = {"sport": 40_000, "dport": port}, {"sport": port, "dport": 40_000}
    return [
        header / kind(**ports) / Raw(bytes(size))
        for header, ports in (
            (IP(src=UE, dst=host), up),
            (IP(src=host, dst=UE), down),
            (IPv6(src=UE6, dst=host6), up),
            (IPv6(src=host6, dst=UE6), down),
        )
    ]


@pytest.mark.parametrize("coupon", ["off", "empty", "on"])
def test_mail_web_and_dns_go_at_full_speed_and_free_of_charge(tmp_path: Path, coupon: str) -> None:
    """X1, X2, X3, P2: 12 000 bytes a millisecond are 96 Mbit/s; nothing waits, nothing is charged"""
    packets = [p for where in SERVERS.values() for p in conversation(*where, 1_000)] * 12
    run = Run(tmp_path, frames(packets, T0, 87_000), coupon)
    assert set(run.names) == {"exempt"}
    assert set(run.waits) == {0}
    ways = run.sim["up"], run.sim["down"]
    assert [way["charged_bytes"] + way["slow_bytes"] + way["free_bytes"] for way in ways] == [0, 0]
    assert {g["rating_group"]: g["name"] for g in run.report["rating_groups"]} == {
        10: "dns",
        20: "mail",
        30: "web",
    }
    assert run.report["totals"]["exempt_bytes"] == sum(len(bytes(p)) for p in packets)


@pytest.mark.parametrize("coupon", ["off", "empty"])
def test_the_same_packets_to_any_other_address_are_slow(tmp_path: Path, coupon: str) -> None:
    """X1, X2, P2, B42x, B43x: 200 kbit/s, and dropped where the queue is full"""
    packets = [
        packet
        for *_, kind, port in SERVERS.values()
        for packet in conversation(SERVER, SERVER6, kind, port, 1_000)
    ] * 6
    run = Run(tmp_path, frames(packets, T0, 87_000), coupon)
    assert set(run.names) == {"slow", "queue"}
    assert max(run.waits) > 1_000 * MS
    assert run.report["totals"]["exempt_bytes"] == 0


def test_in_a_tunnel_it_is_the_inner_packet_that_is_exempt(tmp_path: Path) -> None:
    """X2: outer addresses and ports do not matter"""
    query = IP(src=UE, dst=DNS) / UDP(sport=4_000, dport=53) / Raw(bytes(40))
    answer = IPv6(src=DNS6, dst=UE6) / UDP(sport=53, dport=4_000) / Raw(bytes(40))
    other = IP(src=UE, dst=SERVER) / UDP(sport=4_000, dport=53) / Raw(bytes(40))
    packets = [tunnelled(packet) for packet in (query, answer, other)]
    assert said(tmp_path, *packets, mode=MODE_GTP) == ["exempt", "exempt", "slow"]


def test_a_spoofed_packet_is_dropped_not_exempt(tmp_path: Path) -> None:
    """N7, X4, B17: whatever server it is for"""
    spoofed = IP(src="10.1.0.99", dst=DNS) / UDP(sport=4_000, dport=53) / Raw(bytes(40))
    up = IP(src=SGW, dst=PGW) / UDP(sport=2152, dport=2152)
    packet = up / GTP_U_Header(teid=UP_TEID, gtp_type=255) / spoofed
    run = Run(tmp_path, frames([packet], T0, MS), mode=MODE_GTP)
    assert run.names == ["spoof"]
    assert (run.sim["up"]["exempt_bytes"], run.sim["up"]["dropped_packets"]) == (0, 1)


NOT_EXEMPT: dict[str, Packet] = {
    "the header cut off after the ports (B32)": IP(src=UE, dst=DNS, proto=17)
    / Raw(bytes.fromhex("0fa00035")),
    "half of a TCP header (B32)": IP(src=UE, dst="192.0.2.80", proto=6)
    / Raw(bytes.fromhex("0fa00050") + bytes(8)),
    "no header at all (B32)": IP(src=UE, dst=DNS, proto=17),
    "a UDP length of 0 (B33)": IP(src=UE, dst=DNS) / UDP(sport=4_000, dport=53, len=0) / Raw(b"x"),
    "a UDP length of 7 (B33)": IP(src=UE, dst=DNS) / UDP(sport=4_000, dport=53, len=7) / Raw(b"x"),
    "another protocol": IP(src=UE, dst=DNS) / ICMP(),
    "the port of the other side": IP(src=UE, dst=DNS) / UDP(sport=53, dport=4_000),
    "port 53 of anybody (B42x)": IP(src=UE, dst="8.8.8.8") / UDP(sport=4_000, dport=53),
    "from port 53 of anybody (B43x)": IP(src="8.8.8.8", dst=UE) / UDP(sport=53, dport=4_000),
    "the IPv4 address inside an IPv6 one": IPv6(src=UE6, dst="64:ff9b::192.0.2.53")
    / UDP(sport=4_000, dport=53),
    "a server inside the packet": IP(src=UE, dst=SERVER, proto=4)
    / IP(src=UE, dst=DNS)
    / UDP(sport=4_000, dport=53),
}


@pytest.mark.parametrize("name", NOT_EXEMPT)
def test_what_does_not_show_that_it_is_exempt_is_not(tmp_path: Path, name: str) -> None:
    """X2, X4, B32, B33, B42x, B43x"""
    assert said(tmp_path, NOT_EXEMPT[name]) == ["slow"]


def test_a_capture_that_was_cut_before_the_ports_is_not_exempt(tmp_path: Path) -> None:
    """B32, B63: what is not there to be read cannot be relied on"""
    query = IP(src=UE, dst=DNS) / UDP(sport=4_000, dport=53) / Raw(bytes(40))
    whole = ethernet(bytes(query))
    kept = [(T0 + held, whole[:held], len(whole)) for held in (14 + 20, 14 + 23, 14 + 26, 14 + 28)]
    assert Run(tmp_path, kept).names == ["slow", "slow", "exempt", "exempt"]


# --- fragments ----------------------------------------------------------------------------------


def pieces(family: int, down: bool, port: int = 53, label: int = 77) -> list[Packet]:
    """A datagram of 3 000 bytes between the SIM and DNS in three fragments."""
    ports = {"sport": port, "dport": 4_000} if down else {"sport": 4_000, "dport": port}
    if family == 4:
        ends = {"src": DNS, "dst": UE} if down else {"src": UE, "dst": DNS}
        whole = IP(**ends, id=label) / UDP(**ports) / Raw(bytes(3_000))
        return [IP(bytes(piece)) for piece in fragment(whole, 1_200)]
    ends = {"src": DNS6, "dst": UE6} if down else {"src": UE6, "dst": DNS6}
    whole = IPv6(**ends) / IPv6ExtHdrFragment(id=label) / UDP(**ports) / Raw(bytes(3_000))
    return [IPv6(bytes(piece)) for piece in fragment6(whole, 1_280)]


PATHS = list(itertools.product((4, 6), (False, True)))


@pytest.mark.parametrize("mode", [MODE_IP, MODE_GTP])
@pytest.mark.parametrize(("family", "down"), PATHS)
def test_every_fragment_of_an_exempt_packet_is_exempt(
    tmp_path: Path, family: int, down: bool, mode: int
) -> None:
    """X4: IPv4 and IPv6, both ways, bare and in a tunnel"""
    packets = pieces(family, down)
    assert len(packets) == 3
    if mode == MODE_GTP:
        packets = [tunnelled(packet) for packet in packets]
    assert said(tmp_path, *packets, mode=mode) == ["exempt"] * 3


@pytest.mark.parametrize(("family", "down"), PATHS)
def test_no_fragment_of_another_packet_is(tmp_path: Path, family: int, down: bool) -> None:
    """X4, B37: another port, another identification, without its first one, or before it"""
    first, *later = pieces(family, down)
    assert said(tmp_path, *pieces(family, down, port=54)) == ["slow"] * 3
    assert said(tmp_path, first, *pieces(family, down, label=78)[1:]) == ["exempt"] + ["slow"] * 2
    assert said(tmp_path, *later) == ["slow"] * 2
    assert said(tmp_path, later[0], first, later[1]) == ["slow", "exempt", "exempt"]


def test_a_tiny_first_fragment_shows_no_ports(tmp_path: Path) -> None:
    """X4, B34, RFC 1858: eight bytes of a TCP header"""
    whole = IP(src=UE, dst="192.0.2.80", id=5) / TCP(sport=4_000, dport=80) / Raw(bytes(80))
    tiny = [IP(bytes(piece)) for piece in fragment(whole, 8)]
    assert bytes(tiny[0])[22:24] == (80).to_bytes(2, "big")
    assert said(tmp_path, *tiny) == ["slow"] * len(tiny)


def test_a_fragment_at_offset_1_is_a_later_one(tmp_path: Path) -> None:
    """X4, B35, RFC 3128: by itself it is nothing, and after its first one it has its class"""
    web = {"src": UE, "dst": "192.0.2.80", "id": 5, "proto": 6}
    first = IP(**web, flags="MF") / TCP(sport=4_000, dport=80) / Raw(bytes(4))
    again = IP(**web, frag=1) / Raw(bytes(TCP(sport=4_000, dport=80))[8:])
    assert said(tmp_path, again, first, again) == ["slow", "exempt", "exempt"]


def test_the_last_of_two_first_fragments_decides(tmp_path: Path) -> None:
    """X4, B36: whatever overlaps whatever"""
    good, bad = pieces(4, False), pieces(4, False, port=54)
    packets = [good[0], good[1], bad[0], good[1], good[2], good[0], bad[2]]
    assert said(tmp_path, *packets) == ["exempt"] * 2 + ["slow"] * 3 + ["exempt"] * 2


@pytest.mark.parametrize("workers", [1, 2])
def test_fragments_of_two_captures_meet(tmp_path: Path, workers: int) -> None:
    """X4, G8: the first one in one capture, those that follow in another, in whatever order named"""
    first, *later = pieces(4, False)
    parts = {"a": frames([first], T0, MS), "b": frames(later, T0 + 1, MS)}
    for name, part in parts.items():
        (tmp_path / f"{name}.pcap").write_bytes(pcap(part, magic=0xA1B23C4D))
    lines = "[[contract]]\ncode = 'hdd1'\nplan = 'light-start'\nstarted = 2013-11-01\n"
    lines += f"[[contract.line]]\ncode = 'a'\ncoupon = false\naddresses = ['{UE}']\n"
    (tmp_path / "book.toml").write_text(lines)
    found = []
    for order in (("a", "b"), ("b", "a")):
        report = replay.run(
            replay.Options(
                captures=tuple(str(tmp_path / f"{name}.pcap") for name in order),
                subscribers=str(tmp_path / "book.toml"),
                workers=workers,
            )
        )
        assert (report.exit_status, report.faults) == (0, [])
        found.append(report.document["totals"])
    assert found[0] == found[1]
    assert found[0]["exempt_bytes"] == found[0]["inner_bytes"] == 3_008 + 3 * 20


def test_every_reason_here_is_one_of_the_report(tmp_path: Path) -> None:
    """G7: names are those of engine.verdict"""
    assert {"exempt", "slow", "queue", "spoof"} <= set(verdict.NAMES.values())
    assert said(tmp_path) == []
