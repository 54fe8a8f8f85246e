"""With software that was not written here: an SGSN of gateway_sim attaches to Debian's osmo-ggsn."""

import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from scapy.layers.inet import ICMP, IP

from gateway_sim.codec import path as codec_path
from gateway_sim.signalling.sgw import EventKind, Sgw, Step
from gateway_sim.signalling.terminal import CHAP, IPV6, Credentials, Terminal
from gateway_sim.signalling.transitions import State
from tests.support.osmo import ADDRESS, APN, DNS, INSIDE, Namespace, need, osmo_ggsn

HERE = "127.0.0.1"
GTP_U = (ADDRESS, 2152)


class Place(NamedTuple):
    """An SGSN in the GGSN's namespace, and its sockets for control and for user packets."""

    sgsn: Sgw
    control: socket.socket
    user: socket.socket

    def send(self, step: Step) -> list[EventKind]:
        """Send what a step says; each request gets one answer, which is taken."""
        kinds = [event.kind for event in step.events]
        for octets, peer in step.datagrams:
            self.control.sendto(octets, peer)
            answer, source = self.control.recvfrom(65_535)
            after = self.sgsn.receive(answer, source, time.monotonic_ns())
            assert after.datagrams == []
            kinds += [event.kind for event in after.events]
        return kinds


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    need("osmo-ggsn", "ip")
    folder = tmp_path_factory.mktemp("osmo")
    with Namespace("ggsn") as namespace, osmo_ggsn(namespace, folder):
        sgsn = Sgw(HERE, HERE, gateway=(ADDRESS, 2123), restarts=1, seed=11, version=1)
        with namespace.udp(HERE, 2123) as control, namespace.udp(HERE, 2152) as user:
            yield Place(sgsn, control, user)


def terminal(number: int, **given: object) -> Terminal:
    imsi = f"44010{number:010d}"
    return Terminal(imsi, f"8190{number:08d}", apn=APN, version=1, **given)  # type: ignore[arg-type]


def ping(place: Place, who: Terminal, number: int) -> tuple[int, bytes]:
    """One ICMP echo through the tunnel: the TEID of what comes back, and the packet in it."""
    assert who.ipv4 is not None
    packet = bytes(IP(src=who.ipv4, dst=INSIDE) / ICMP(id=7, seq=number) / b"from the terminal")
    header = struct.pack("!BBHI", 0x30, 255, len(packet), who.teid_up)
    place.user.sendto(header + packet, GTP_U)
    while True:
        octets = place.user.recv(65_535)
        if octets[1] == codec_path.G_PDU:
            begin = 12 if octets[0] & 7 else 8
            return int.from_bytes(octets[4:8], "big"), octets[begin:]


def test_a_terminal_attaches_gets_an_address_and_pings_through_the_ggsn(place: Place) -> None:
    """N1, N2, N4"""
    sgsn, who = place.sgsn, terminal(1)
    now_ns = time.monotonic_ns()
    assert place.send(sgsn.echo(now_ns, 1)) == [EventKind.ECHOED]
    assert place.send(sgsn.attach(who, now_ns)) == [EventKind.ATTACHED]
    assert who.ipv4 is not None
    assert who.ipv4.startswith("172.16.222.")
    assert who.dns == DNS
    teid, packet = ping(place, who, 1)
    assert teid == who.teid_down
    answer = IP(packet)
    assert (answer.src, answer.dst, answer[ICMP].type, answer[ICMP].seq) == (INSIDE, who.ipv4, 0, 1)
    assert bytes(answer[ICMP].payload) == b"from the terminal"
    assert place.send(sgsn.detach(who, now_ns)) == [EventKind.DETACHED]
    assert (who.state, sgsn.counters["faults"]) == (State.IDLE, 0)


def test_a_moved_session_gets_its_packets_in_the_new_tunnel(place: Place) -> None:
    """N4"""
    sgsn, who = place.sgsn, terminal(2, credentials=Credentials(CHAP))
    now_ns = time.monotonic_ns()
    assert place.send(sgsn.attach(who, now_ns)) == [EventKind.ATTACHED]
    before = who.teid_down
    assert place.send(sgsn.move(who, now_ns, rat=2)) == [EventKind.MODIFIED]
    teid, _ = ping(place, who, 2)
    assert teid == who.teid_down != before
    assert place.send(sgsn.detach(who, now_ns)) == [EventKind.DETACHED]


def test_the_ggsn_refuses_what_it_does_not_have_and_the_cause_is_kept(place: Place) -> None:
    """N1, N2"""
    who = terminal(3, pdn_type=IPV6)
    assert place.send(place.sgsn.attach(who, time.monotonic_ns())) == [EventKind.REFUSED]
    assert (who.state, who.cause, who.ipv4) == (State.REFUSED, 220, None)


def test_the_ggsn_says_that_it_does_not_speak_version_2(place: Place) -> None:
    sgw = Sgw(HERE, HERE, gateway=(ADDRESS, 2123))
    who = Terminal("440100000000099", apn=APN)
    assert place._replace(sgsn=sgw).send(sgw.attach(who, 0)) == [EventKind.REFUSED]
    assert (who.state, who.cause) == (State.REFUSED, None)
    assert sgw.waiting == {}


def test_a_hundred_terminals_have_a_hundred_addresses(place: Place) -> None:
    """N6"""
    sgsn, now_ns = place.sgsn, time.monotonic_ns()
    who = [terminal(number) for number in range(10, 110)]
    for item in who:
        assert place.send(sgsn.attach(item, now_ns)) == [EventKind.ATTACHED]
    assert len({item.ipv4 for item in who}) == 100
    for item in who:
        assert place.send(sgsn.detach(item, now_ns)) == [EventKind.DETACHED]
    assert sgsn.by_control == {}


def test_path_messages_of_the_user_plane_are_understood_by_the_ggsn(place: Place) -> None:
    """B19: an unknown TEID is answered with an error indication that names it."""
    packet = bytes(IP(src="172.16.222.77", dst=INSIDE) / ICMP())
    place.user.sendto(struct.pack("!BBHI", 0x30, 255, len(packet), 0x7FFFFFF1) + packet, GTP_U)
    message = codec_path.read(place.user.recv(65_535))
    assert (message.message_type, message.teid, message.address) == (26, 0x7FFFFFF1, ADDRESS)
    now_ns = time.monotonic_ns()
    ((octets, peer),) = place.sgsn.echo_user(GTP_U, now_ns).datagrams
    place.user.sendto(octets, peer)
    answer = place.sgsn.path(place.user.recv(65_535), GTP_U, now_ns)
    assert [event.kind for event in answer.events] == [EventKind.ECHOED]


def test_a_ggsn_that_is_gone_is_missed(tmp_path: Path) -> None:
    """The planted fault: without an answer there is no session."""
    need("osmo-ggsn", "ip")
    with Namespace("none") as namespace, namespace.udp(HERE, 2123) as control:
        sgsn = Sgw(HERE, HERE, gateway=(ADDRESS, 2123), version=1, t3_ns=1, n3=1)
        who = terminal(1)
        ((octets, peer),) = sgsn.attach(who, 0).datagrams
        control.settimeout(0.2)
        control.sendto(octets, peer)
        with pytest.raises(OSError, match=r"timed out|refused"):
            control.recv(2_048)
        assert [event.kind for event in sgsn.tick(1).events] == [EventKind.LOST]
