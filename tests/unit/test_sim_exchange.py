"""User packets of the live simulator: stamped, sent over real sockets, judged when they come back."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from engine.layout import DOWNLINK, UPLINK
from engine.units import NS_PER_S
from gateway_sim.live import clock
from gateway_sim.live.datagrams import SLOTS, Datagrams
from gateway_sim.live.logs import (
    ASTRAY,
    DAMAGED,
    FINE,
    UNKNOWN,
    WRONG_PEER,
    WRONG_SOURCE,
    WRONG_TUNNEL,
)
from tests.support import packets
from tests.support.simlive import Rig, g_pdu, rig, script_of, traffic
from tests.support.tshark import fields

STEPS = (
    traffic(up_bps=8_000, down_bps=8_000),
    traffic(up_bps=8_000, down_bps=8_000, ipv6=True, packet_bytes=333),
)
UP, DOWN, UP6, DOWN6 = range(4)
"""streams of STEPS"""


@pytest.fixture
def made(tmp_path: Path):
    _, script = script_of(tmp_path, *STEPS)
    with rig(script) as found:
        yield found


@pytest.mark.parametrize("stream", [UP, UP6])
def test_an_uplink_packet_that_comes_out_unchanged_is_fine(made: Rig, stream: int) -> None:
    """N7"""
    for datagram in made.offer(stream, 0, 3):
        made.deliver_up(datagram[8:])
    made.hear(UPLINK, 2)
    assert made.flaws() == [FINE, FINE]
    assert made.exchange.arrived["number"].tolist() == [0, 1]


@pytest.mark.parametrize("stream", [DOWN, DOWN6])
@pytest.mark.parametrize("options", [b"", b"\0\7\0\0"])
def test_a_downlink_packet_in_the_tunnel_of_its_session_is_fine(
    made: Rig, stream: int, options: bytes
) -> None:
    """With the optional octets of GTP-U too (TS 29.281 5.1)."""
    for sim, inner in zip((0, 3), made.offer(stream, 0, 3), strict=True):
        made.deliver_down(g_pdu(2000 + sim, inner, options))
    made.hear(DOWNLINK, 2)
    assert made.flaws() == [FINE, FINE]


@pytest.mark.parametrize("at", [1, 30, 60, 199])
def test_a_changed_octet_is_seen(made: Rig, at: int) -> None:
    (datagram,) = made.offer(UP, 0)
    inner = bytearray(datagram[8:])
    inner[at] ^= 1
    made.deliver_up(bytes(inner))
    made.hear(UPLINK)
    assert made.flaws() == [DAMAGED]


def test_an_octet_too_many_or_too_few_is_seen(made: Rig) -> None:
    (datagram,) = made.offer(UP, 0)
    made.deliver_up(datagram[8:] + b"\0")
    made.deliver_up(datagram[8:-1])
    made.hear(UPLINK, 2)
    assert made.flaws() == [DAMAGED, DAMAGED]


def test_another_source_than_the_sessions_address_is_seen(made: Rig) -> None:
    """N7"""
    for datagram, at in ((made.offer(UP, 0)[0], 15), (made.offer(UP6, 0)[0], 15)):
        inner = bytearray(datagram[8:])
        inner[at] ^= 8
        made.deliver_up(bytes(inner))
    made.hear(UPLINK, 2)
    assert made.flaws() == [WRONG_SOURCE, WRONG_SOURCE]


def test_another_tunnel_and_another_node_are_seen(made: Rig) -> None:
    """N7"""
    first, second = made.offer(DOWN, 0, 1)
    made.deliver_down(g_pdu(2001, first))
    made.deliver_down(g_pdu(2001, second), made.internet)
    made.hear(DOWNLINK, 2)
    assert made.flaws() == [WRONG_TUNNEL, WRONG_PEER]


def test_what_comes_out_on_the_side_where_it_went_in_is_seen(made: Rig) -> None:
    (datagram,) = made.offer(UP, 0)
    made.deliver_down(g_pdu(2000, datagram[8:]))
    (inner,) = made.offer(DOWN, 0)
    made.deliver_up(inner)
    made.hear(DOWNLINK)
    made.hear(UPLINK)
    assert made.flaws() == [ASTRAY, ASTRAY]


@pytest.mark.parametrize(
    "data", [b"", b"\x45", b"\x45" + bytes(200), b"\x60" + bytes(30), b"\xff" * 900]
)
def test_what_was_never_sent_is_unknown(made: Rig, data: bytes) -> None:
    """A number beyond those that were given out belongs to no packet, wherever it comes from."""
    made.deliver_up(data)
    made.deliver_down(g_pdu(2000, data))
    made.hear(UPLINK)
    made.hear(DOWNLINK)
    assert made.flaws() == [UNKNOWN, UNKNOWN]


def test_a_move_lets_packets_of_the_old_and_of_the_new_tunnel_come(made: Rig) -> None:
    first, second, third = (made.offer(DOWN, 0)[0] for _ in range(3))
    made.fleet.teid_next[0] = 3000
    made.deliver_down(g_pdu(3000, first))
    made.hear(DOWNLINK)
    made.fleet.move(0, 1000, 3000)
    made.deliver_down(g_pdu(3000, second))
    made.deliver_down(g_pdu(2000, third))
    made.hear(DOWNLINK, 2)
    assert made.flaws() == [FINE, FINE, FINE]


def test_what_is_no_g_pdu_is_handed_back_with_its_sender(made: Rig) -> None:
    echo = bytes.fromhex("3201000400000000000700 00".replace(" ", ""))
    made.deliver_down(echo)
    ((data, source),) = made.hear(DOWNLINK)
    assert data == echo
    assert int(source[0]) & 0xFFFF == made.gateway.getsockname()[1]
    assert made.flaws() == []


def test_the_kernels_stamp_is_the_time_of_arrival(made: Rig) -> None:
    before_ns = clock.stamp_ns()
    (datagram,) = made.offer(UP, 0)
    made.deliver_up(datagram[8:])
    after_ns = clock.stamp_ns()
    made.hear(UPLINK)
    at_ns = int(made.exchange.arrived["at_ns"][0])
    assert before_ns <= int(made.exchange.sent["at_ns"][0]) <= at_ns
    assert at_ns - after_ns < NS_PER_S  # written by the kernel in the call, or soon after


def test_a_batch_larger_than_the_slots_is_received_in_parts(made: Rig) -> None:
    """And the socket says that it lost nothing."""
    made.exchange.send(UP, np.arange(8, dtype=np.int64))
    inner = made.gateway.recv(65_535)[8:]
    for _ in range(SLOTS + 3):
        made.deliver_up(inner)
    made.hear(UPLINK, SLOTS + 3)
    assert made.exchange.arrived.size == SLOTS + 3
    assert made.exchange.lost == 0


def test_datagrams_that_a_socket_had_no_room_for_are_counted() -> None:
    import socket

    with Datagrams("127.0.0.1", 0) as small, Datagrams("127.0.0.1", 0) as sender:
        small.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sender.to(small.address, small.port)
        for _ in range(4):
            sender.send(np.full(SLOTS, 1400, np.int64))
        assert small.lost > 0


def test_every_packet_dissects_without_a_fault(tmp_path: Path) -> None:
    """Uplink and downlink, IPv4 and IPv6, odd and even lengths, checksums included."""
    frames = []
    lengths = (200, 333, 1400, 77)
    steps = [
        traffic(up_bps=8_000, down_bps=8_000, ipv6=v6, packet_bytes=length)
        for v6 in (False, True)
        for length in lengths
    ]
    _, script = script_of(tmp_path, *steps)
    with rig(script) as made:
        for number, stream in enumerate(script.streams):
            for datagram in made.offer(number, 0, 7):
                if stream.shape.direction == UPLINK:
                    whole = packets.tunnel(datagram)
                else:
                    whole = datagram
                frames.append((packets.TIME_NS, packets.ethernet(whole)))
    capture = tmp_path / "made-up.pcap"
    capture.write_bytes(packets.pcap(frames))
    names = ("_ws.expert.message", "_ws.malformed", "udp.checksum.status", "ip.checksum.status")
    said = fields(capture, names, tmp_path)
    assert len(said) == len(frames)
    assert {cell for row in said for cell in row[:2]} == {""}


def test_checksums_are_right(tmp_path: Path) -> None:
    """RFC 768, RFC 791, RFC 8200: by tshark's own sums."""
    _, script = script_of(tmp_path, *STEPS)
    frames = []
    with rig(script) as made:
        for stream in (DOWN, DOWN6):
            frames += [
                (packets.TIME_NS, packets.ethernet(inner)) for inner in made.offer(stream, 0, 5)
            ]
    capture = tmp_path / "sums.pcap"
    capture.write_bytes(packets.pcap(frames))
    from tests.support.tshark import need_tshark

    command = [need_tshark(), "-n", "-r", str(capture), "-o", "udp.check_checksum:TRUE"]
    command += ["-o", "ip.check_checksum:TRUE", "-T", "fields", "-e", "udp.checksum.status"]
    command += ["-e", "ip.checksum.status"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert [line.split("\t") for line in done.stdout.splitlines()] == [["1", "1"]] * 2 + [
        ["1", ""]
    ] * 2
