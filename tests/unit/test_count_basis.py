"""Setting `count`: what a packet's length is, the inner IP packet's or the outer one's around it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import config, verdict
from engine.layout import PACKET_CUT, PACKET_GTP
from engine.replay import Options, run
from engine.wire import MODE_GTP, MODE_IP
from engine.wire.basis import BASES, INNER_IP, OUTER_IP
from tests.support.gateway import SLOW, book, gateway, names, packet, settings, waits
from tests.support.gateway import T0 as BEGIN_NS
from tests.support.packets import (
    PGW,
    SERVER,
    SGW,
    UE,
    Frame,
    ethernet,
    gtp,
    ipv4,
    ipv6,
    parse,
    pcap,
    tcp,
    tunnel,
    udp,
)

INNER = ipv4(udp(bytes(72)))
INNER_6 = ipv6(udp(bytes(52)))
"""both are of 100 bytes"""
SGW6, PGW6 = "2001:db8::1", "2001:db8::2"
VLAN, QINQ = 0x8100, 0x88A8
TUNNEL_4, TUNNEL_6 = 20 + 8 + 8, 40 + 8 + 8
"""byte; outer IP, UDP and GTP-U headers"""
SEQUENCE: dict[str, Any] = {"flags": 0x32, "optional": bytes(4)}
EXTENDED: dict[str, Any] = {"flags": 0x34, "optional": bytes(3) + b"\x85" + bytes((1, 0, 9, 0))}
OUTER_OPTIONS = ipv4(udp(gtp(INNER), 2152, 2152), SGW, PGW, options=bytes(8))
TRAILING = tunnel(gtp(INNER, length=100) + bytes(5))
BEHIND_UDP = ipv4(udp(gtp(INNER), 2152, 2152) + bytes(7), SGW, PGW)
OUTER_EXTENSION = ipv6(
    bytes((17, 0)) + bytes(6) + udp(gtp(INNER), 2152, 2152), SGW6, PGW6, following=60
)


def lengths(folder: Path, frame: Frame, mode: int = MODE_GTP) -> tuple[int, int]:
    """The length of the one packet of a capture, counted both ways; all else must be the same."""
    rows = []
    for basis in (INNER_IP, OUTER_IP):
        packets, capture = parse(folder, pcap([frame]), mode, basis=basis)
        assert capture.fault is None
        rows.append(packets[0])
    inner, outer = (int(row["length"]) for row in rows)
    rows[1]["length"] = inner
    assert rows[0] == rows[1]
    return inner, outer


@pytest.mark.parametrize(
    ("frame", "outer_bytes"),
    [
        (ethernet(tunnel(gtp(INNER))), 100 + TUNNEL_4),
        (ethernet(tunnel(gtp(INNER_6))), 100 + TUNNEL_4),
        (ethernet(tunnel(gtp(INNER), SGW6, PGW6)), 100 + TUNNEL_6),
        (ethernet(tunnel(gtp(INNER_6), SGW6, PGW6)), 100 + TUNNEL_6),
        (ethernet(tunnel(gtp(INNER)), VLAN), 100 + TUNNEL_4),
        (ethernet(tunnel(gtp(INNER), SGW6, PGW6), QINQ, VLAN), 100 + TUNNEL_6),
        (ethernet(tunnel(gtp(INNER))) + bytes(46), 100 + TUNNEL_4),
        (ethernet(tunnel(gtp(INNER), SGW6, PGW6)) + bytes(46), 100 + TUNNEL_6),
        (ethernet(tunnel(gtp(INNER, **SEQUENCE))), 100 + TUNNEL_4 + 4),
        (ethernet(tunnel(gtp(INNER, **EXTENDED))), 100 + TUNNEL_4 + 8),
        (ethernet(OUTER_OPTIONS), 100 + TUNNEL_4 + 8),
        (ethernet(OUTER_EXTENSION), 100 + TUNNEL_6 + 8),
        (ethernet(TRAILING), 100 + TUNNEL_4 + 5),
        (ethernet(BEHIND_UDP), 100 + TUNNEL_4 + 7),
    ],
)
def test_the_outer_length_is_that_of_the_outer_ip_header(
    tmp_path: Path, frame: bytes, outer_bytes: int
) -> None:
    """U3: IPv4 total length or IPv6 payload length + 40; frame, tags and padding never count"""
    assert lengths(tmp_path, frame) == (100, outer_bytes)


def test_without_a_tunnel_both_are_the_same(tmp_path: Path) -> None:
    """U3: nor where the outermost packets are billed, whatever they carry"""
    assert lengths(tmp_path, ethernet(INNER, VLAN) + bytes(9), MODE_IP) == (100, 100)
    assert lengths(tmp_path, ethernet(INNER_6), MODE_IP) == (100, 100)
    whole = 100 + TUNNEL_4
    assert lengths(tmp_path, ethernet(tunnel(gtp(INNER))), MODE_IP) == (whole, whole)


@pytest.mark.parametrize("held_bytes", [14 + 36 + 20, 14 + 36 + 60, 14 + 36 + 99])
def test_a_packet_that_the_capture_cut_has_the_length_of_the_outer_header(
    tmp_path: Path, held_bytes: int
) -> None:
    """U3, B63"""
    frame = ethernet(tunnel(gtp(INNER)))
    cut = (0, frame[:held_bytes], len(frame))
    assert lengths(tmp_path, cut) == (100, 136)
    packets, capture = parse(tmp_path, pcap([cut]), basis=OUTER_IP)
    assert (capture.cut_packets, int(packets[0]["flags"]) & PACKET_CUT) == (1, PACKET_CUT)


def test_whether_a_packet_was_cut_is_judged_by_the_inner_one(tmp_path: Path) -> None:
    """U3: here only what stands behind it is lacking"""
    frame = ethernet(BEHIND_UDP)
    for basis in BASES.values():
        packets, capture = parse(tmp_path, pcap([(0, frame[:-3], len(frame))]), basis=basis)
        assert capture.cut_packets == 0
        assert not packets[0]["flags"] & PACKET_CUT


def test_a_fragmented_outer_packet_counts_once_as_if_it_were_whole(tmp_path: Path) -> None:
    """U3: its own headers and the UDP length; the fragments after the first are no packets"""
    datagram = udp(gtp(ipv4(udp(bytes(1_400)))), 2152, 2152)
    first = ethernet(ipv4(datagram[:800], SGW, PGW, fragment=0x2000))
    later = ethernet(ipv4(datagram[800:], SGW, PGW, fragment=100))
    packets, _ = parse(tmp_path, pcap([first, later]), basis=OUTER_IP)
    assert packets["length"].tolist() == [1_428 + TUNNEL_4]
    fragment = bytes((17, 0, 0, 1)) + bytes(4)
    first = ethernet(ipv6(fragment + datagram[:800], SGW6, PGW6, following=44))
    assert lengths(tmp_path, first) == (1_428, 1_428 + TUNNEL_6 + 8)


def test_a_total_length_of_0_follows_from_the_frame(tmp_path: Path) -> None:
    """U3, B56: segmentation left to the network card"""
    outer = ipv4(udp(gtp(INNER), 2152, 2152), SGW, PGW, total=0)
    assert lengths(tmp_path, ethernet(outer)) == (100, 136)


@pytest.mark.parametrize(
    ("message", "inner_bytes", "code"),
    [
        (gtp(ipv4(udp(bytes(72)), total=101)), 101, verdict.DROP_LEN),
        (gtp(b"\x20" + INNER[1:]), 0, verdict.DROP_IPVER),
        (gtp(INNER, flags=0x50), 0, verdict.DROP_VERSION),
        (gtp(ipv4(udp(bytes(72), dst=2152), dst=PGW)), 100, verdict.DROP_GTP_IN_GTP),
        (gtp(ipv4(udp(bytes(72)), src="127.0.0.1")), 100, verdict.DROP_SPOOF),
    ],
)
def test_what_is_wrong_is_found_in_the_inner_packet_and_dropped_at_the_outer_length(
    tmp_path: Path, message: bytes, inner_bytes: int, code: int
) -> None:
    """U3, N7"""
    frame = ethernet(tunnel(message))
    assert lengths(tmp_path, frame) == (inner_bytes, 100 + TUNNEL_4)
    packets, _ = parse(tmp_path, pcap([frame]), basis=OUTER_IP)
    assert int(packets[0]["code"]) == code


def test_an_outer_packet_longer_than_the_frame_is_dropped_both_ways(tmp_path: Path) -> None:
    """U3, B10: with the length that it claims"""
    outer = ipv4(udp(gtp(INNER), 2152, 2152), SGW, PGW, total=200)
    assert lengths(tmp_path, ethernet(outer)) == (100, 200)
    packets, _ = parse(tmp_path, pcap([ethernet(outer)]), basis=OUTER_IP)
    assert int(packets[0]["code"]) == verdict.DROP_LEN


def test_what_is_no_packet_is_none_either_way(tmp_path: Path) -> None:
    """U3: signalling and broken messages are counted in the same places"""
    frames = [
        ethernet(tunnel(gtp(kind=1, flags=0x32, optional=bytes(4)))),
        ethernet(tunnel(b"\x30")),
        ethernet(ipv4(udp(b"x"), UE, SERVER)),
    ]
    seen = []
    for basis in BASES.values():
        packets, capture = parse(tmp_path, pcap(frames), basis=basis)
        assert len(packets) == 0
        seen.append((capture.frames, capture.messages.tolist(), capture.malformed.tolist()))
    assert all(one == seen[0] for one in seen)
    assert seen[0][1][1] == 1


def test_charge_and_balance_go_by_the_length_that_was_chosen(tmp_path: Path) -> None:
    """U3, D7: 130 bytes pay for one packet of 136, and for one of 100 and a part of the next"""
    for basis, charged in ((INNER_IP, [100, 30]), (OUTER_IP, [130, 0])):
        batch, capture = parse(tmp_path, _pair(), basis=basis)
        with gateway(book(coupon_bytes=130), endpoints=capture._endpoints) as engine:
            verdicts = engine.process(batch)
            assert verdicts["charged_bytes"].tolist() == charged
            totals = engine.snapshot()["totals"]
            assert totals["inner_bytes"] == (272 if basis == OUTER_IP else 200)


def test_the_limiter_goes_by_the_length_that_was_chosen(tmp_path: Path) -> None:
    """U3, P4: a byte a millisecond"""
    for basis, wait_ns in ((INNER_IP, 100 * 10**6), (OUTER_IP, 172 * 10**6)):
        batch, capture = parse(tmp_path, _pair(), basis=basis)
        slow = settings(slow=replace(SLOW, burst_bytes=100))
        with gateway(book(), settings=slow, endpoints=capture._endpoints) as engine:
            verdicts = engine.process(batch)
            assert names(verdicts) == ["slow", "slow"]
            assert waits(batch, verdicts)[1] == wait_ns


def _pair() -> bytes:
    """A capture with two packets of 100 bytes in a tunnel, at once."""
    frame = (BEGIN_NS, ethernet(tunnel(gtp(INNER))))
    return pcap([frame, frame])


def test_an_embedding_program_s_own_length_counts(tmp_path: Path) -> None:
    """U3: the engine knows no other length than that of the row, whatever `count` says"""
    with gateway(
        book(coupon_bytes=1_000), settings=replace(settings(), count="outer-ip")
    ) as engine:
        verdicts = engine.process(packet(BEGIN_NS, length=77, flags=0))
        assert verdicts["charged_bytes"].tolist() == [77]


def test_the_setting_reaches_the_parser_and_is_told(tmp_path: Path) -> None:
    """U3: the default is the inner packet"""
    (tmp_path / "own.toml").write_text('count = "outer-ip"\n')
    assert config.load(None).count == "inner-ip"
    assert config.load(tmp_path / "own.toml").count == "outer-ip"
    capture = tmp_path / "mixed.pcap"
    other = ethernet(tunnel(gtp(ipv4(tcp(bytes(960)), protocol=6), teid=2), SGW6, PGW6))
    capture.write_bytes(pcap([ethernet(tunnel(gtp(INNER))), other]))
    found: dict[str | None, Any] = {}
    for path in (None, str(tmp_path / "own.toml")):
        options = Options((str(capture),), config=path, ue_nets=("10.1.0.0/16",))
        found[path] = run(options)
    inner, outer = found.values()
    totals = [report.document["totals"] for report in (inner, outer)]
    assert [t["inner_bytes"] for t in totals] == [1_100, 1_100 + TUNNEL_4 + TUNNEL_6]
    assert [t["charged_bytes"] for t in totals] == [t["inner_bytes"] for t in totals]
    assert [t["inner_bytes"] for t in outer.document["tunnels"]] == [136, 1_056]
    told = [[n for n in report.notices if "outer IP" in n] for report in (inner, outer)]
    assert [len(lines) for lines in told] == [0, 1]


def test_a_row_of_a_tunnel_stays_one(tmp_path: Path) -> None:
    """U3: TEID, receiver and flags are what they were"""
    packets, _ = parse(tmp_path, pcap([ethernet(tunnel(gtp(INNER, teid=77)))]), basis=OUTER_IP)
    assert (int(packets[0]["teid"]), int(packets[0]["endpoint"])) == (77, 0)
    assert int(packets[0]["flags"]) & PACKET_GTP
    assert np.all(packets["code"] == verdict.NONE)
