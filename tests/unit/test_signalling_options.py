"""Protocol configuration options: what terminals ask, and how they are answered."""

import pytest

from engine.errors import SignallingError
from engine.signalling import options
from engine.signalling.codec import decode
from engine.signalling.messages import (
    Chap,
    Options,
    Pap,
)
from tests.support.gtpc import create2, ie2
from tests.support.signalling import CONFIGURE


def pco(*containers: tuple[int, bytes]) -> bytes:
    rows = (k.to_bytes(2, "big") + bytes([len(body)]) + body for k, body in containers)
    return b"\x80" + b"".join(rows)


def test_what_a_terminal_asks_in_its_options_is_read() -> None:
    """N1: PAP and CHAP; the name servers, by containers or by IPCP."""
    challenge, response = b"\x01\x04\x00\x0d\x04abcdname", b"\x02\x04\x00\x0d\x04efghuser"
    found = options.read(
        pco(
            (0xC023, b"\x01\x09\x00\x10\x07mio@iij\x03iij"), (0xC223, challenge), (0xC223, response)
        )
    )
    assert found.pap == Pap(b"mio@iij", b"iij", 9)
    assert found.chap == Chap(b"user", b"abcd", b"efgh", 4)
    assert found.protocols == (0xC023, 0xC223, 0xC223)
    assert options.read(pco((0x8021, CONFIGURE))).wants_dns4
    assert options.read(pco((0x000D, b""))).wants_dns4
    assert options.read(pco((0x0003, b""))).wants_dns6
    assert options.read(pco((0x0010, b"\x05\xdc"))).protocols == (0x0010,)
    assert options.read(b"\x80") == Options()


def test_a_response_without_its_own_challenge_has_none() -> None:
    """N1: a challenge with another identifier is not the one that was answered."""
    response = b"\x02\x04\x00\x0d\x04efghuser"
    other = b"\x01\x05\x00\x0d\x04abcdname"
    assert options.read(pco((0xC223, other), (0xC223, response))).chap == Chap(
        b"user", b"", b"efgh", 4
    )
    assert options.read(pco((0xC223, other))).chap is None


def test_other_packets_of_ppp_are_no_credentials() -> None:
    found = options.read(pco((0xC023, b"\x07\x01\x00\x04"), (0xC223, b"\x07\x01\x00\x04")))
    assert (found.pap, found.chap, found.auth_answer) == (None, None, None)
    ack = options.read(pco((0x8021, b"\x02\x01\x00\x0a\x81\x06\x08\x08\x08\x08")))
    assert not ack.wants_dns4


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x80" + bytes(251),
        b"\x80\xc0",
        b"\x80\xc0\x23\x01",
        pco((0xC023, b"\x01\x09\x00")),
        pco((0xC023, b"\x01\x09\x00\xff\x07mio@iij\x03iij")),
        pco((0xC023, b"\x01\x09\x00\x04")),
        pco((0xC023, b"\x01\x09\x00\x0c\x07mio@iij")),
        pco((0xC023, b"\x01\x09\x00\x06\xff\x00")),
        pco((0xC223, b"\x02\x04\x00\x06\x04a")),
        pco((0xC223, b"\x01\x04\x00\x06\x04a")),
        pco((0x8021, b"\x01\x04\x00\x05\x81")),
        pco((0x8021, b"\x01\x04\x00\x06\x81\x01")),
        pco((0x8021, b"\x01\x04\x00\x06\x81\x06")),
        pco((0x000D, b"\x08\x08\x08")),
        pco((0x0003, b"\x08\x08\x08\x08")),
    ],
    ids=lambda body: body.hex()[:24],
)
def test_options_with_a_wrong_length_inside_are_refused(body: bytes) -> None:
    """N1, C24"""
    with pytest.raises(SignallingError):
        options.read(body)
    assert decode(create2(pco=ie2(78, body)), strict=False).options is None


def test_additional_options_are_read_where_there_are_no_others() -> None:
    assert decode(create2(apco=ie2(163, pco((0x000D, b""))))).options == Options(
        wants_dns4=True, protocols=(0x000D,)
    )


SERVERS = ("8.8.8.8", "2001:4860:4860::8888", "8.8.4.4")


def test_options_are_answered_as_they_were_asked() -> None:
    """N1"""
    asked = Options(Pap(b"u", b"p", 9), ipcp=CONFIGURE, wants_dns4=True, wants_dns6=True)
    told = options.answer(asked, SERVERS)
    assert told == Options(
        ipcp=bytes.fromhex("03 07 0010 8106 08080808 8306 08080404"),
        dns=SERVERS,
        auth_answer=(True, 9, 0xC023),
    )
    chap = Options(chap=Chap(b"u", b"c", b"r", 4), wants_dns6=True)
    assert options.answer(chap, SERVERS, ok=False) == Options(
        dns=SERVERS[1:2], auth_answer=(False, 4, 0xC223)
    )
    assert options.answer(None, SERVERS) is None
    assert options.answer(Options(protocols=(0x000A,)), SERVERS) is None


def ipcp(code: int, *rows: tuple[int, bytes]) -> bytes:
    data = b"".join(bytes([kind, 2 + len(body)]) + body for kind, body in rows)
    return bytes([code, 7]) + (4 + len(data)).to_bytes(2, "big") + data


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (ipcp(1), ipcp(2)),
        (ipcp(1, (3, bytes(4))), ipcp(3, (3, bytes([10, 0, 0, 7])))),
        (ipcp(1, (3, bytes([10, 0, 0, 7]))), ipcp(2, (3, bytes([10, 0, 0, 7])))),
        (ipcp(1, (129, b"\x08" * 4)), ipcp(2, (129, b"\x08" * 4))),
        (ipcp(1, (129, bytes(4)), (131, bytes(4))), ipcp(3, (129, b"\x08" * 4))),
        (ipcp(1, (131, bytes(4))), ipcp(4, (131, bytes(4)))),
        (ipcp(1, (2, b"\x00\x2d"), (129, bytes(4))), ipcp(3, (129, b"\x08" * 4))),
        (ipcp(1, (2, b"\x00\x2d")), ipcp(4, (2, b"\x00\x2d"))),
        (ipcp(2), None),
    ],
)
def test_ipcp_is_answered_in_one_packet(asked: bytes, told: bytes | None) -> None:
    """RFC 1332, RFC 1877: Ack of what is given, Nak with it, Reject where there is nothing to give."""
    answered = options.answer(Options(ipcp=asked), ("8.8.8.8",), address4="10.0.0.7")
    assert (answered.ipcp if answered is not None else None) == told
