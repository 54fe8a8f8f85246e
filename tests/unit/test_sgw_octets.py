"""Octets of control messages: stamped as scapy would build them, and read back by other readers."""

import itertools
import struct

import pytest

from gateway_sim.codec import path as codec_path
from gateway_sim.signalling import heard, stamped
from gateway_sim.signalling.control import ACCEPTED, TYPES, Fill, Kind, Shape
from gateway_sim.signalling.stamped import build, stamp
from gateway_sim.signalling.terminal import (
    CHAP,
    EUTRAN,
    IPV4,
    IPV4V6,
    IPV6,
    NO_AUTH,
    PAP,
    UTRAN,
    Credentials,
)
from gateway_sim.traffic.draw import Draw
from tests.support.scripted_gateway import (
    ADDRESS,
    DNS,
    DNS6,
    USER_ADDRESS,
    ScriptedGateway,
    element,
    scapy_of,
)

WHO = (Credentials(PAP), Credentials(CHAP), Credentials(NO_AUTH), Credentials(PAP, "", ""))
SENT = {
    2: set(TYPES[2])
    - {
        Kind.CREATE_RESPONSE,
        Kind.MODIFY_RESPONSE,
        Kind.DELETE_RESPONSE,
        Kind.DELETE_BEARER_REQUEST,
    },
    1: set(TYPES[1]) - {Kind.CREATE_RESPONSE, Kind.MODIFY_RESPONSE},
}
"""what an S-GW and an SGSN send"""


def shapes() -> list[Shape]:
    """Every kind of both versions; of the request for a session, all that can be asked."""
    found = []
    for version, kinds in SENT.items():
        for kind in sorted(kinds):
            shape = Shape(version, kind, "10.8.0.1", "10.8.0.2", 7, cause=ACCEPTED[version][0])
            found.append(shape)
            if kind is Kind.DELETE_BEARER_RESPONSE:
                found.append(Shape(version, kind, cause=64))
    asked = itertools.product(
        (1, 2), WHO, (IPV4, IPV6, IPV4V6), (EUTRAN, UTRAN), (("440", "10"), ("310", "410"))
    )
    for version, who, pdn_type, rat, network in asked:
        given = {"network": network, "rat": rat, "pdn_type": pdn_type, "credentials": who}
        found.append(Shape(version, Kind.CREATE_REQUEST, apn="iijmio.jp", **given))  # type: ignore[arg-type]
    return found


def fill(shape: Shape, number: int) -> Fill:
    """Numbers and texts of the terminal of this number, drawn."""
    words = [int(word) for word in Draw(99, number).below(1 << 32, 16)]
    octets = struct.pack(">8I", *words[8:])
    chap = shape.credentials.kind == CHAP and shape.kind is Kind.CREATE_REQUEST
    create = shape.kind is Kind.CREATE_REQUEST
    return Fill(
        sequence=words[0] % (1 << (8 * (shape.version + 1))),
        teid=words[1],
        teid_control=words[2],
        teid_user=words[3],
        imsi=f"44010{words[4]:010d}" if create else "",
        msisdn=f"81{words[5]:010d}"[: 12 - number % 3] if create and number % 5 else "",
        imei=f"35{words[6]:012d}12"[: 16 - number % 2] if create and number % 7 else "",
        challenge=octets[:16] if chap else b"",
        response=octets[16:] if chap else b"",
    )


def test_every_message_is_stamped_as_scapy_builds_it() -> None:
    for shape in shapes():
        for number in (1, 5 * 7, 2)[: 3 if shape.kind is Kind.CREATE_REQUEST else 1]:
            given = fill(shape, number)
            assert stamp(shape, given) == build(shape, given), shape


def test_a_stamp_in_the_wrong_place_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: two marks change places."""
    monkeypatch.setattr(stamped, "_templates", {})
    shape = shapes()[-1]
    given = fill(shape, 1)
    stamp(shape, given)
    key = next(iter(stamped._templates))
    template = stamped._templates[key]
    assert template is not None
    swapped = {"teid_control": "teid_user", "teid_user": "teid_control"}
    slots = tuple((swapped.get(name, name), at, size) for name, at, size in template.slots)
    stamped._templates[key] = stamped.Template(template.octets, slots)
    assert stamp(shape, given) != build(shape, given)


def test_a_number_too_short_to_be_found_again_is_left_to_scapy() -> None:
    for version, msisdn in itertools.product((1, 2), ("8", "81")):
        shape = Shape(version, Kind.CREATE_REQUEST, apn="iijmio.jp")
        given = Fill(1, 2, 3, 4, imsi="440100000000001", msisdn=msisdn)
        assert stamp(shape, given) == build(shape, given)
    assert None in stamped._templates.values()


def test_templates_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """B48: as many passwords as one likes"""
    monkeypatch.setattr(stamped, "_templates", {})
    monkeypatch.setattr(stamped, "SHAPES_MAX", 8)
    for number in range(8 + 3):
        who = Credentials(PAP, "mio@iij", str(number))
        stamp(Shape(1, Kind.CREATE_REQUEST, credentials=who), Fill(1, imsi="440100000000001"))
    assert len(stamped._templates) == 3


@pytest.mark.parametrize("version", [1, 2])
def test_own_reader_and_scapy_agree_on_answers(version: int) -> None:
    """N2"""
    gateway = ScriptedGateway()
    for pdn_type in (IPV4, IPV6, IPV4V6):
        shape = Shape(version, Kind.CREATE_REQUEST, pdn_type=pdn_type, apn="iijmio.jp")
        answer = gateway.answer(stamp(shape, fill(shape, 1)))
        said, read = scapy_of(answer), heard.read(answer)
        assert read.fault == ""
        assert (read.version, read.message_type) == (said.version, said.gtp_type)
        assert (read.teid, read.sequence) == (said.teid, said.seq)
        assert read.dns == (*DNS, DNS6)
        assert read.authenticated is True
        assert read.recovery == 3
        assert read.control is not None
        assert read.user is not None
        if version == 2:
            user = element(said, 93).IE_list[2]
            assert (read.control.teid, read.user.teid) == (element(said, 87).GRE_Key, user.GRE_Key)
            assert read.charging_id == element(said, 93).IE_list[3].ChargingID
        else:
            assert read.control.teid == element(said, 17).TEICI
            assert read.user.teid == element(said, 16).TEIDI
            assert read.charging_id == element(said, 127).Charging_id
        assert (read.control.address, read.user.address) == (ADDRESS, USER_ADDRESS)
        assert (read.ipv4 is not None, read.ipv6 is not None) == (pdn_type != 2, pdn_type != 1)


def option(protocol: int, content: bytes) -> bytes:
    return struct.pack(">HB", protocol, len(content)) + content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (option(0xC023, b"\2\1\0\5\0"), True),
        (option(0xC023, b"\3\1\0\5\0"), False),
        (option(0xC223, b"\3\1\0\4"), True),
        (option(0xC223, b"\4\1\0\4"), False),
        (option(0xC223, b"\1\1\0\4"), None),
        (option(0xC023, b""), None),
    ],
)
def test_answers_to_pap_and_chap_are_told_apart(content: bytes, said: bool | None) -> None:
    body = b"\x80" + content
    element2 = struct.pack(">BHB", 78, len(body), 0) + body
    message = struct.pack(">BBHIBBBB", 0x48, 33, 8 + len(element2), 1, 0, 0, 1, 0) + element2
    assert heard.read(message).authenticated is said
    element1 = struct.pack(">BH", 132, len(body)) + body
    message = struct.pack(">BBHIHBB", 0x32, 17, 4 + len(element1), 1, 1, 0, 0) + element1
    assert heard.read(message).authenticated is said


V2 = "48{kind}{size}0000000100000100"


def message2(body: str, kind: str = "21") -> bytes:
    octets = bytes.fromhex(body)
    size = f"{8 + len(octets):04x}"
    return bytes.fromhex(V2.format(kind=kind, size=size)) + octets


def message1(body: str, kind: str = "11") -> bytes:
    octets = bytes.fromhex(body)
    return bytes.fromhex(f"32{kind}{4 + len(octets):04x}0000000100010000") + octets


@pytest.mark.parametrize(
    ("octets", "fault"),
    [
        (message2("57000100" + "06"), "f-teid"),
        (message2("57000900" + "06" + "00000001" + "0a000001"), "f-teid"),
        (message2("57000900" + "c6" + "00000001" + "0a000001"), "f-teid"),
        (message2("4f00c800" + "01" + "00" * 199), "paa"),
        (message2("4f000500" + "02" + "00" * 4), "paa"),
        (message2("4f000000"), "paa"),
        (message2("02ffff00" + "10"), "element"),
        (message2("0200"), "element"),
        (message2("5d000800" + "57000900" + "06000000"), "element"),
        (message2("03000100ff" * 257), "element"),
        (message2("4e000500" + "80c0230500"), "options"),
        (message2("")[:-1], "length"),
        (message2("") + b"\0", "length"),
        (bytes.fromhex("4821000400000000"), "length"),
        (bytes.fromhex("28210004000000000000"), "version"),
        (message1("850003" + "0a0000"), "gsn-address"),
        (message1("850011" + "00" * 17), "gsn-address"),
        (message1("8500ff" + "00" * 4), "element"),
        (message1("06"), "element"),
        (message1("01"), "element"),
        (message1("850004" + "0a000001") + b"\1", "length"),
        (message1("800003" + "f12100"), "end-user-address"),
        (message1("800001" + "f1"), "end-user-address"),
        (message1("800006" + "f18d" + "0a010001"), "end-user-address"),
        (message1("840004" + "800021ff"), "options"),
        (bytes.fromhex("36110005" + "00000001" + "000100ff" + "00"), "extension"),
        (bytes.fromhex("36110004" + "00000001" + "000100ff"), "extension"),
        (bytes.fromhex("36110004" + "00000001" + "000100c0"), "extension"),
        (bytes.fromhex("36110028" + "00000001" + "000100c0" + "010000c0" * 9), "extension"),
        (bytes.fromhex("22110004" + "00000001" + "00010000"), "version"),
        (b"\x48\x21\0\4", "short"),
    ],
)
def test_broken_answers_are_named(octets: bytes, fault: str) -> None:
    """B01, B02, B04, B05, B06, B07, B42, B43, B44, B50"""
    assert heard.read(octets).fault == fault


def test_extension_headers_of_version_1_are_passed_over() -> None:
    """B14"""
    octets = bytes.fromhex("36110006" + "00000001" + "00050040" + "01084b00" + "0180")
    read = heard.read(octets[:3] + b"\x0a" + octets[4:])
    assert (read.fault, read.cause, read.sequence) == ("", 128, 5)


def test_a_piggybacked_message_is_left_and_a_second_cause_does_not_count() -> None:
    """B46, B50"""
    first = message2("0200020010000200020040005d00060002000200480049000100050300010009")
    octets = bytes([first[0] | 0x10]) + first[1:] + message2("", "5f")
    read = heard.read(octets)
    assert (read.fault, read.cause, read.recovery) == ("", 16, 9)
    whole = heard.read(message2("02000200100002000200400003000100090300010008"))
    assert (whole.cause, whole.recovery) == (16, 9)


def test_messages_about_paths_are_what_the_standard_shows() -> None:
    """TS 29.281 5.1, 7.2, 7.3"""
    assert codec_path.echo_request(0x0102).hex() == "3201000400000000" + "01020000"
    assert codec_path.echo_response(0x0102).hex() == "3202000600000000" + "01020000" + "0e00"
    error = codec_path.error_indication(0xA1A2A3A4, "10.8.0.2")
    assert error.hex() == "321a001000000000" + "00000000" + "10a1a2a3a4" + "8500040a080002"
    assert codec_path.end_marker(0xA1A2A3A4).hex() == "30fe0000a1a2a3a4"
    assert codec_path.read(error) == (26, 0, 0xA1A2A3A4, "10.8.0.2", "")
    error6 = codec_path.error_indication(7, "2001:db8::2")
    assert codec_path.read(error6) == (26, 0, 7, "2001:db8::2", "")
    ported = b"\x36\x1a\0\x14" + error[4:11] + b"\x40" + b"\1\x08\x68\0" + error[12:]
    assert codec_path.read(ported) == (26, 0, 0xA1A2A3A4, "10.8.0.2", "")
    assert codec_path.read(codec_path.end_marker(9))[:3] == (254, None, 9)


@pytest.mark.parametrize(
    ("octets", "fault"),
    [
        ("32010004000000", "short"),
        ("4801000400000000", "version"),
        ("2201000400000000", "version"),
        ("3201000300000000000000", "length"),
        ("3601000400000000000000c0", "extension"),
        ("3601000800000000000000c0000000c0", "extension"),
        ("36010028000000000000" + "00c0" + "010000c0" * 9, "extension"),
        ("321a000400000000" + "00000000", "element"),
        ("321a000c00000000" + "00000000" + "1000000001850004", "element"),
        ("321a000c00000000" + "00000000" + "1000000001850011", "element"),
    ],
)
def test_broken_messages_about_paths_are_named(octets: str, fault: str) -> None:
    """B01-B07, B10-B12"""
    assert codec_path.read(bytes.fromhex(octets)).fault == fault
