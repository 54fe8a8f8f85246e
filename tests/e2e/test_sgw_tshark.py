"""What tshark makes of all that the LTE side sends: one capture with whole lives of terminals."""

import ipaddress
from pathlib import Path

import pytest

from gateway_sim.codec import path as codec_path
from gateway_sim.signalling.sgw import EventKind, Sgw, Step
from gateway_sim.signalling.terminal import (
    CHAP,
    GERAN,
    IPV4V6,
    IPV6,
    NO_AUTH,
    PAP,
    UTRAN,
    Credentials,
    Terminal,
)
from tests.e2e.test_outputs_tshark import looked_through
from tests.support.packets import ipv4, pcap, udp
from tests.support.scripted_gateway import ADDRESS, PEER, USER_ADDRESS, ScriptedGateway
from tests.support.sgw import S, kinds, node, terminal
from tests.support.tshark import fields

RAW_IP = 101
Frames = list[tuple[int, bytes]]
USER = (USER_ADDRESS, 2152)


class Wire:
    """A node and a gateway that talk, with a capture of both directions."""

    def __init__(self, sgw: Sgw, gateway: ScriptedGateway) -> None:
        self.sgw, self.gateway = sgw, gateway
        self.frames: Frames = []
        self.now_ns = S

    def note(self, octets: bytes, source: tuple[str, int], target: tuple[str, int]) -> None:
        datagram = udp(octets, source[1], target[1])
        self.frames.append((self.now_ns, ipv4(datagram, source[0], target[0])))
        self.now_ns += 1_000_000

    def send(self, step: Step) -> list[EventKind]:
        """Put a step on the wire; its requests are answered, and what the node says then is sent."""
        for octets, peer in step.datagrams:
            self.note(octets, (self.sgw.address, 2123), peer)
            answer = self.gateway.answer(octets)
            self.note(answer, peer, (self.sgw.address, 2123))
            step += self.sgw.receive(answer, peer, self.now_ns)
        return kinds(step)

    def hear(self, octets: bytes) -> list[EventKind]:
        """Something that the gateway says by itself, and what the node answers."""
        self.note(octets, PEER, (self.sgw.address, 2123))
        step = self.sgw.receive(octets, PEER, self.now_ns)
        for answer, peer in step.datagrams:
            self.note(answer, (self.sgw.address, 2123), peer)
        return kinds(step)

    def user(self, octets: bytes, down: bool = False) -> None:
        ends = ((self.sgw.user_address, 2152), USER)
        self.note(octets, *(ends[::-1] if down else ends))


def life(wire: Wire, who: Terminal, rat: int) -> None:
    """Attach, move, be cut off, attach and detach."""
    sgw, gateway = wire.sgw, wire.gateway
    assert wire.send(sgw.attach(who, wire.now_ns)) == [EventKind.ATTACHED]
    assert wire.send(sgw.move(who, wire.now_ns, rat=rat)) == [EventKind.MODIFIED]
    assert who.gateway_control is not None
    cut = gateway.delete(who.version, len(wire.frames), who.gateway_control.teid)
    assert wire.hear(cut) == [EventKind.CUT]
    assert wire.send(sgw.attach(who, wire.now_ns)) == [EventKind.ATTACHED]
    assert wire.send(sgw.detach(who, wire.now_ns)) == [EventKind.DETACHED]


def paths(wire: Wire, who: Terminal) -> None:
    """Echoes of both planes and versions, what is said of tunnels, and a version that is too new."""
    sgw = wire.sgw
    for version in (1, 2):
        assert wire.send(sgw.echo(wire.now_ns, version)) == [EventKind.ECHOED]
        wire.hear(wire.gateway.echo(version, 11 + version))
    wire.user(sgw.echo_user(USER, wire.now_ns).datagrams[0][0])
    wire.user(codec_path.echo_response(3), down=True)
    wire.user(sgw.unknown_here(0xA1A2A3A4, USER).datagrams[0][0])
    wire.user(codec_path.end_marker(who.teid_down), down=True)
    newer = bytes([0x68, 32, 0, 8, 0, 0, 0, 0, 1, 2, 3, 0])
    answer = sgw.receive(newer, PEER, wire.now_ns).datagrams[0][0]
    wire.note(answer, (sgw.address, 2123), PEER)


def silence(wire: Wire, who: Terminal) -> None:
    """A request that goes out twice."""
    first = wire.sgw.attach(who, wire.now_ns)
    wire.note(first.datagrams[0][0], (wire.sgw.address, 2123), PEER)
    wire.now_ns += 3 * S
    assert wire.send(wire.sgw.tick(wire.now_ns)) == [EventKind.ATTACHED]


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wire = Wire(node(), ScriptedGateway())
    for version in (2, 1):
        for number, kind in enumerate((PAP, CHAP, NO_AUTH), 1):
            for pdn_type in (1, IPV6, IPV4V6):
                who = terminal(version, number, credentials=Credentials(kind), pdn_type=pdn_type)
                life(wire, who, UTRAN if version == 2 else GERAN)
        silence(wire, terminal(version, 7, network=("310", "410")))
    bare = Terminal("440100000000009", credentials=Credentials(PAP, "", ""))
    assert wire.send(wire.sgw.attach(bare, wire.now_ns)) == [EventKind.ATTACHED]
    paths(wire, bare)
    path = tmp_path_factory.mktemp("life") / "life.pcap"
    path.write_bytes(pcap(wire.frames, RAW_IP))
    return path


def test_no_message_is_malformed_nor_does_tshark_warn_of_anything(
    capture: Path, tmp_path: Path
) -> None:
    """N1, N4, N5"""
    said, errors = looked_through(capture, tmp_path)
    assert errors == ""
    assert said.strip() == ""
    rows = fields(capture, ("_ws.malformed", "gtpv2.message_type", "gtp.message"), tmp_path)
    assert len(rows) > 200
    assert not any(row[0] for row in rows)
    assert all(row[1] or row[2] for row in rows)


LENGTHS = ("pap.length", "chap.length", "ppp.length")


def test_ppp_in_the_options_has_its_own_length_in_two_octets(capture: Path, tmp_path: Path) -> None:
    """N1: PAP with and without a name (and its answers), CHAP challenge and response, IPCP"""
    rows = fields(capture, LENGTHS, tmp_path)
    assert {row[0] for row in rows} == {"", "16", "6", "5"}
    assert {row[1] for row in rows} == {"", "29,28"}
    assert {row[2] for row in rows} == {"", "16"}


def test_a_wrong_length_of_pap_as_scapy_writes_it_would_be_seen(tmp_path: Path) -> None:
    """The planted fault: scapy's own length of PPP, one octet where there are two."""
    sgw = node()
    octets = sgw.attach(terminal(), S).datagrams[0][0]
    good = b"\xc0\x23\x10\x01\x01\x00\x10"
    assert octets.count(good) == 1
    wrong = octets.replace(good, b"\xc0\x23\x10\x01\x01\x0d\x10")
    path = tmp_path / "wrong.pcap"
    frame = ipv4(udp(wrong, 2123, 2123), sgw.address, ADDRESS)
    path.write_bytes(pcap([(S, frame)], RAW_IP))
    assert fields(path, LENGTHS, tmp_path) == [["3344", "", "16"]]


FIELDS2 = (
    "gtpv2.message_type",
    "gtpv2.seq",
    "gtpv2.teid",
    "e212.imsi",
    "e164.msisdn",
    "gtpv2.mei",
    "gtpv2.apn",
    "gtpv2.rat_type",
    "gtpv2.f_teid_interface_type",
    "gtpv2.f_teid_gre_key",
    "gtpv2.f_teid_ipv4",
    "gtpv2.ebi",
    "gtpv2.ambr_up",
    "gtpv2.ambr_down",
    "pap.peer_id",
    "pap.password",
    "gtpv2.rec",
)
FIELDS1 = (
    "gtp.message",
    "gtp.seq_number",
    "gtp.teid",
    "e212.imsi",
    "e164.msisdn",
    "gtp.apn",
    "gtp.teid_data",
    "gtp.teid_cp",
    "gtp.gsn_ipv4",
    "gtp.nsapi",
    "gtp.ext_rat_type",
    "pap.peer_id",
    "pap.password",
    "gtp.recovery",
)


def asked(version: int, tmp_path: Path) -> tuple[Terminal, int, list[str]]:
    """A terminal, the number of its request, and tshark's row of that."""
    sgw, who = node(), terminal(version)
    octets = sgw.attach(who, S).datagrams[0][0]
    path = tmp_path / "asked.pcap"
    frame = ipv4(udp(octets, 2123, 2123), sgw.address, ADDRESS)
    path.write_bytes(pcap([(S, frame)], RAW_IP))
    row = fields(path, FIELDS2 if version == 2 else FIELDS1, tmp_path)[0]
    sequence = int.from_bytes(octets[8 : 11 if version == 2 else 10], "big")
    return who, sequence, row


def test_tshark_reads_each_field_of_a_create_session_request(tmp_path: Path) -> None:
    """N1, N2, N5, N6"""
    who, sequence, row = asked(2, tmp_path)
    assert who.control is not None
    assert who.user is not None
    teids = f"0x{who.control.teid:08x},0x{who.user.teid:08x}"
    assert row == [
        "32",
        f"0x{sequence:06x}",
        "0x00000000",
        who.imsi,
        who.msisdn,
        who.imei,
        "iijmio.jp",
        "6",
        "6,4",
        teids,
        "10.8.0.1,10.8.0.2",
        "5",
        "37500",
        "112500",
        "mio@iij",
        "iij",
        "7",
    ]


def test_tshark_reads_each_field_of_a_create_pdp_context_request(tmp_path: Path) -> None:
    """N1, N2, N4, N6"""
    who, sequence, row = asked(1, tmp_path)
    assert who.control is not None
    assert who.user is not None
    assert row == [
        "0x10",
        f"0x{sequence:04x}",
        "0x00000000",
        who.imsi,
        who.msisdn,
        "iijmio.jp",
        f"0x{who.user.teid:08x}",
        f"0x{who.control.teid:08x}",
        "10.8.0.1,10.8.0.2",
        "5",
        "1",
        "mio@iij",
        "iij",
        "7",
    ]


def test_what_is_read_of_answers_is_what_tshark_reads(capture: Path, tmp_path: Path) -> None:
    """N2: addresses and causes of both versions, as they stand in the capture."""
    names = ("gtpv2.pdn_addr_and_prefix.ipv4", "gtp.user_ipv4", "gtpv2.cause", "gtp.cause")
    rows = fields(capture, names, tmp_path)
    seen = {address for row in rows for cell in row[:2] for address in cell.split(",") if address}
    given = {address for address in seen if address != "0.0.0.0"}
    assert given <= {str(ipaddress.IPv4Address("10.1.0.0") + n) for n in range(1, 60)}
    assert len(given) >= 24
