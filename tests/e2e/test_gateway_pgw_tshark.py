"""Every message that the control plane sends, as tshark reads it."""

import ipaddress
import struct
from pathlib import Path
from typing import Any

import pytest

from engine.gateway.exchange import Datagram
from engine.signalling.codec import decode, encode
from engine.signalling.messages import PDN_IPV4V6, WLAN, Kind, Message, Options, Pap
from engine.units import NS_PER_S
from tests.support.gateway import T0
from tests.support.pgw import (
    OTHER,
    OURS,
    PAP,
    PEER,
    SGW,
    VERSIONS,
    World,
    create,
    delete,
    modify,
    sims,
    world,
)
from tests.support.tshark import fields

RAW_IP = 101
WARNING = 0x600000
NAMES = (
    *("frame.number", "_ws.malformed", "_ws.expert.severity", "_ws.expert.message"),
    *("gtpv2.message_type", "gtp.message", "gtpv2.cause", "gtp.cause"),
)


def framed(data: bytes, peer: str, port: int) -> bytes:
    """The datagram behind IP and UDP headers."""
    udp = struct.pack("!HHHH", 2123, port, 8 + len(data), 0) + data
    ends = ipaddress.ip_address(OURS).packed + ipaddress.ip_address(peer).packed
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + ends
    words = sum(struct.unpack("!10H", head))
    while words >> 16:
        words = (words & 0xFFFF) + (words >> 16)
    return head[:10] + struct.pack("!H", words ^ 0xFFFF) + head[12:] + udp


def capture(path: Path, sent: list[Datagram]) -> None:
    """All of it as a pcap of bare IP packets."""
    blocks = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, RAW_IP)]
    for n, (data, (peer, port)) in enumerate(sent):
        frame = framed(data, peer, port)
        blocks.append(struct.pack("<IIII", n, 0, len(frame), len(frame)) + frame)
    path.write_bytes(b"".join(blocks))


def life(here: World, version: int) -> list[Datagram]:
    """What is sent in a life that has a bit of everything."""
    sent: list[Datagram] = []
    asked = Options(pap=PAP.pap, ipcp=bytes.fromhex("01070010810600000000830600000000"))
    sent += here.send(create(version, options=asked, pdn_type=PDN_IPV4V6, recovery=1))
    sent += here.send(create(version, 2, 2, options=Options(pap=Pap(b"x", b"y", 2))))
    wrong: list[dict[str, Any]] = [{"apn": "x"}, {"rat": WLAN}, {"network": ("440", "20")}]
    for number, changes in enumerate([*wrong, {"imsi": "440109999999999"}]):
        sent += here.send(create(version, 3, 10 + number, **changes))
    sent += here.send(create(version, 3, 20, peer=OTHER), (OTHER, 2123))
    session = here.pgw.sessions.by_line["l1"]
    sent += here.send(modify(session, SGW, (5, 6)))
    sent += here.send(modify(session, SGW, (5, 6), teid=1, sequence=4))
    sent += here.send(Message(version, Kind.ECHO_REQUEST, 30, recovery=1))
    sent += here.send(encode(create(version, 4, 31))[:-1])
    sent += here.send(b"\x68" + encode(create())[1:])
    sent += here.send(delete(session))
    sent += here.send(delete(session, 5))
    here.engine.suspend("l3", at_ns=T0)
    here.attach(version, 2)
    for wait_ns in (0, 61 * NS_PER_S, 1_801 * NS_PER_S):
        here.now_ns += wait_ns
        sent += here.pgw.tick(here.now_ns)
    return sent


@pytest.mark.parametrize("version", VERSIONS)
def test_every_message_dissects_without_a_fault(version: int, tmp_path: Path) -> None:
    """TS 29.274, TS 29.060: no malformed message, no expert warning"""
    with world(sims(5, balance_bytes=0), echo_s=60) as here:
        sent = life(here, version)
    kinds = {decode(data).kind for data, _ in sent}
    deletes = Kind.DELETE_BEARER_REQUEST if version == 2 else Kind.DELETE_REQUEST
    assert kinds == {
        *(Kind.CREATE_RESPONSE, Kind.MODIFY_RESPONSE, Kind.DELETE_RESPONSE, deletes),
        *(Kind.ECHO_RESPONSE, Kind.ECHO_REQUEST, Kind.VERSION_NOT_SUPPORTED),
    }
    capture(tmp_path / "sent.pcap", sent)
    rows = fields(tmp_path / "sent.pcap", NAMES, tmp_path)
    assert len(rows) == len(sent)
    for (data, _), row in zip(sent, rows, strict=True):
        _, malformed, severities, texts, two, one, *causes = row
        message = decode(data)
        assert malformed == "", (message, row)
        assert not [s for s in severities.split(",") if s and int(s) >= WARNING], (message, texts)
        assert (two if message.version == 2 else one) != ""
        if message.cause is not None:
            told = causes[0 if message.version == 2 else 1].split(",")[0]
            assert int(told, 0) == message.cause


def test_a_fault_would_be_seen(tmp_path: Path) -> None:
    """a message with an element that is cut"""
    with world() as here:
        ((data, _),) = here.send(create())
    capture(tmp_path / "sent.pcap", [(data[:-2], PEER)])
    ((_, malformed, severities, *_),) = fields(tmp_path / "sent.pcap", NAMES, tmp_path)
    assert malformed != "" or int(severities.split(",")[0]) >= WARNING
