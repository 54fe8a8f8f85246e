"""GTP-C that is wrong in one place: refused with the cause that fits, and with the header to answer by."""

import pytest

from engine.signalling.codec import decode, encode
from engine.signalling.messages import Kind
from tests.support.gtpc import (
    CREATE,
    CREATE_PDP,
    context,
    create1,
    create2,
    fteid,
    ie1,
    ie2,
    v1,
    v2,
)
from tests.support.gtpc_refused import refused
from tests.support.signalling import CREATE1, CREATE2


def test_the_messages_that_are_changed_here_are_good_themselves() -> None:
    assert decode(create2()).kind is Kind.CREATE_REQUEST
    assert decode(create1()).kind is Kind.CREATE_REQUEST
    assert decode(v2(36, teid=7)).teid == 7
    assert decode(v1(20, ie1(20, b"\x05"))).kind is Kind.DELETE_REQUEST


def test_every_message_cut_at_every_octet_is_refused() -> None:
    for data in (encode(CREATE2), encode(CREATE1)):
        for end in range(len(data)):
            for strict in (True, False):
                error = refused(data[:end], strict)
                assert error.reason == (
                    "len" if end >= 12 else "short" if end < 8 else error.reason
                )
                assert error.cause == (0 if end < 8 or error.reason == "short" else error.cause)


@pytest.mark.parametrize(
    ("data", "reason", "version", "cause"),
    [
        (b"", "short", 0, 0),
        (b"\x48", "short", 2, 0),
        (b"\x32\x10\x00\x00\x00\x00\x00", "short", 1, 0),
        (bytes.fromhex("1e10000000000000"), "version", 0, 0),
        (bytes.fromhex("0ef0000000000000"), "proto", 0, 0),
        (bytes.fromhex("2ef0000000000000"), "proto", 1, 0),
        (bytes.fromhex("6820000000000000"), "version", 3, 66),
        (bytes.fromhex("e820000000000000"), "version", 7, 66),
    ],
)
def test_what_is_no_gtpc_of_ours_is_named(
    data: bytes, reason: str, version: int, cause: int
) -> None:
    """B01, B02, B47: versions above 2 are told, version 0 and GTP' are not answered."""
    for strict in (True, False):
        error = refused(data, strict)
        assert (error.reason, error.version, error.cause) == (reason, version, cause)


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (v2(32, b"".join(CREATE.values()), teid=9, sequence=77, length=40), 67),
        (v2(32, b"".join(CREATE.values()) + b"\0", teid=9, sequence=77, length=200), 67),
        (v2(32, teid=9, sequence=77, length=7), 67),
        (v2(33, teid=9, sequence=77, length=9), 0),
        (v1(16, b"".join(CREATE_PDP.values()), teid=9, sequence=77, length=40), 193),
        (v1(16, b"".join(CREATE_PDP.values()), teid=9, sequence=77, length=200), 193),
        (v1(17, teid=9, sequence=77, length=9), 0),
    ],
)
def test_a_length_that_is_not_the_datagrams_is_told_to_who_asked(data: bytes, cause: int) -> None:
    """B10, B50: a request gets its cause, an answer none; the header is known."""
    error = refused(data)
    assert (error.reason, error.cause) == ("len", cause)
    assert (error.teid, error.sequence, error.message_type) == (9, 77, data[1])
    assert error.version == data[0] >> 5


def test_octets_behind_the_message_are_for_captures_only() -> None:
    """B10b"""
    for data in (create1(), create2()):
        assert decode(data + b"\0\0", strict=False) == decode(data)
        assert refused(data + b"\0\0").reason == "len"


ELEMENTS2: list[tuple[str, bytes, tuple[int, int], str]] = [
    ("B41 short", create2(bearer=context(qos=ie2(80, bytes(21)))), (80, 0), "ie_value"),
    ("B41 long", create2(bearer=context(qos=ie2(80, bytes(23)))), (80, 0), "ie_value"),
    ("B42 control", create2(control=ie2(87, fteid(flags=0))), (87, 0), "ie_value"),
    ("B42 bearer", create2(bearer=context(fteid=ie2(87, fteid(flags=0), 2))), (87, 2), "ie_value"),
    ("F-TEID cut", create2(control=ie2(87, b"\x86\0\0")), (87, 0), "ie_value"),
    ("F-TEID empty", create2(control=ie2(87, b"")), (87, 0), "ie_value"),
    (
        "F-TEID v6 cut",
        create2(control=ie2(87, fteid(flags=0x40, rest=bytes(15)))),
        (87, 0),
        "ie_value",
    ),
    ("TEID 0", create2(control=ie2(87, fteid(teid=0))), (87, 0), "ie_value"),
    ("B43 200", create2(paa=ie2(79, b"\x01" + bytes(199))), (79, 0), "ie_value"),
    ("B43 v6 as v4", create2(paa=ie2(79, b"\x02" + bytes(4))), (79, 0), "ie_value"),
    ("B43 empty", create2(paa=ie2(79, b"")), (79, 0), "ie_value"),
    ("PAA prefix", create2(paa=ie2(79, b"\x02\x81" + bytes(16))), (79, 0), "ie_value"),
    (
        "B45",
        create2(bearer=context(tft=ie2(84, bytes.fromhex("213100ff3011")))),
        (84, 0),
        "ie_value",
    ),
    ("B49 past end", create2(apn=ie2(71, b"\x07iijmio")), (71, 0), "ie_value"),
    ("B49 64", create2(apn=ie2(71, b"\x40" + b"a" * 64)), (71, 0), "ie_value"),
    ("B49 non-ASCII", create2(apn=ie2(71, b"\x04\xe3\x81\x82a")), (71, 0), "ie_value"),
    ("B49 dot", create2(apn=ie2(71, b"\x03a.b")), (71, 0), "ie_value"),
    ("B49 empty label", create2(apn=ie2(71, b"\x01a\x00\x01b")), (71, 0), "ie_value"),
    ("B49 empty", create2(apn=ie2(71, b"")), (71, 0), "ie_value"),
    (
        "B49 long",
        create2(apn=ie2(71, b"\x3f" + b"a" * 63 + b"\x3f" + b"a" * 63)),
        (71, 0),
        "ie_value",
    ),
    ("IMSI 5", create2(imsi=ie2(1, bytes.fromhex("4410f1"))), (1, 0), "ie_value"),
    ("IMSI 16", create2(imsi=ie2(1, bytes(8))), (1, 0), "ie_value"),
    ("IMSI 9 octets", create2(imsi=ie2(1, bytes(9))), (1, 0), "ie_value"),
    ("IMSI hex", create2(imsi=ie2(1, bytes.fromhex("4410012143658a"))), (1, 0), "ie_value"),
    ("IMSI hole", create2(imsi=ie2(1, bytes.fromhex("44f0012143"))), (1, 0), "ie_value"),
    ("network", create2(network=ie2(83, b"\x44\xf0")), (83, 0), "ie_value"),
    ("network hex", create2(network=ie2(83, b"\x4a\xf0\x01")), (83, 0), "ie_value"),
    ("RAT", create2(rat=ie2(82, b"")), (82, 0), "ie_value"),
    ("AMBR", create2(ambr=ie2(72, bytes(7))), (72, 0), "ie_value"),
    ("ULI", create2(uli=ie2(86, bytes(256))), (86, 0), "ie_value"),
    ("PCO", create2(pco=ie2(78, b"\x80\xc0\x23\x09")), (78, 0), "ie_value"),
    ("cause", v2(33, ie2(2, b"\x10"), teid=1), (2, 0), "ie_value"),
    ("no IMSI", create2(imsi=b""), (1, 0), "ie_missing"),
    ("no RAT", create2(rat=b""), (82, 0), "ie_missing"),
    ("no control", create2(control=b""), (87, 0), "ie_missing"),
    ("no APN", create2(apn=b""), (71, 0), "ie_missing"),
    ("no PDN type", create2(pdn=b"", paa=b""), (79, 0), "ie_missing"),
    ("no bearer", create2(bearer=b""), (93, 0), "ie_missing"),
    ("removed bearer", create2(bearer=ie2(93, ie2(73, b"\x05"), 1)), (93, 0), "ie_missing"),
    ("no user F-TEID", create2(bearer=context(fteid=b"")), (87, 0), "ie_missing"),
    ("no EBI", create2(bearer=context(ebi=b"")), (73, 0), "ie_missing"),
    ("no cause", v2(33, teid=1), (2, 0), "ie_missing"),
    ("B50 0xFFFF", create2(more=ie2(255, b"", length=0xFFFF)), (255, 0), "ie_len"),
    ("one past", create2(more=ie2(3, b"\1", 2, length=2)), (3, 2), "ie_len"),
    ("cut head", create2(more=b"\x03\x00\x01"), (3, 0), "ie_len"),
    ("past context", create2(bearer=ie2(93, ie2(73, b"\5", length=2))), (73, 0), "ie_len"),
]
CAUSES2 = {"ie_value": 69, "ie_missing": 70, "ie_len": 67}


@pytest.mark.parametrize(
    ("data", "offending", "reason"),
    [row[1:] for row in ELEMENTS2],
    ids=[row[0] for row in ELEMENTS2],
)
def test_an_element_of_version_2_that_is_wrong_is_refused_by_name(
    data: bytes, offending: tuple[int, int], reason: str
) -> None:
    """B41, B42, B43, B45, B49, B50: with the cause, the element and the header; an answer gets no cause."""
    error = refused(data)
    is_request = data[1] == 32
    assert (error.reason, error.offending) == (reason, offending)
    assert (error.version, error.message_type, error.sequence) == (2, data[1], 1)
    assert error.cause == (CAUSES2[reason] if is_request else 0)


@pytest.mark.parametrize(
    "data", [row[1] for row in ELEMENTS2 if row[3] != "ie_len" and row[0] != "TEID 0"]
)
def test_what_can_be_read_of_a_wrong_message_of_version_2_is_read(data: bytes) -> None:
    """B41-B49: for captures; what is wrong counts as absent."""
    message = decode(data, strict=False)
    assert message.kind in (Kind.CREATE_REQUEST, Kind.CREATE_RESPONSE)
    good = decode(create2())
    for name in ("imsi", "rat", "network", "apn", "control", "pdn_type"):
        assert getattr(message, name) in (getattr(good, name), None)
    kept = [getattr(message, name) == getattr(good, name) for name in ("imsi", "rat", "apn")]
    assert kept.count(False) <= (1 if data[1] == 32 else 3)


ELEMENTS1: list[tuple[str, bytes, int, str]] = [
    *(
        (f"B44 {size}", create1(gsn_user=ie1(133, bytes(size))), 133, "ie_value")
        for size in (0, 3, 5, 15, 17, 255)
    ),
    ("B45", create1(tft=ie1(137, bytes.fromhex("213100ff3011"))), 137, "ie_value"),
    ("B49 past end", create1(apn=ie1(131, b"\x07iijmio")), 131, "ie_value"),
    ("B49 non-ASCII", create1(apn=ie1(131, b"\x04\xe3\x81\x82a")), 131, "ie_value"),
    ("IMSI 5", create1(imsi=ie1(2, bytes.fromhex("4410f1ffffffffff"))), 2, "ie_value"),
    ("MSISDN", create1(msisdn=ie1(134, b"\x91" + bytes(9))), 134, "ie_value"),
    ("user short", create1(user=ie1(128, b"\xf1")), 128, "ie_value"),
    ("user 7", create1(user=ie1(128, b"\xf1\x21" + bytes(5))), 128, "ie_value"),
    ("user v6 as v4", create1(user=ie1(128, b"\xf1\x57" + bytes(4))), 128, "ie_value"),
    ("TEID 0", create1(data=ie1(16, bytes(4))), 16, "ie_value"),
    ("RAT", create1(rat=ie1(151, b"")), 151, "ie_value"),
    ("PPP", create1(user=ie1(128, b"\xf0\x01")), 128, "pdn_type"),
    ("X.25", create1(user=ie1(128, b"\xf1\x00")), 128, "pdn_type"),
    ("no IMSI", create1(imsi=b""), 2, "ie_missing"),
    ("no data TEID", create1(data=b""), 16, "ie_missing"),
    ("no control TEID", create1(control=b""), 17, "ie_missing"),
    ("no NSAPI", create1(nsapi=b"", data=b""), 20, "ie_missing"),
    ("no GSN", create1(gsn_control=b"", gsn_user=b""), 17, "ie_missing"),
    ("no APN", create1(apn=b""), 131, "ie_missing"),
    ("no user", create1(user=b""), 128, "ie_missing"),
    ("no cause", v1(17), 1, "ie_missing"),
    ("B50 0xFFFF", create1(more=ie1(255, b"", length=0xFFFF)), 255, "ie_len"),
    ("TV past end", create1(more=b"\x09" + bytes(27)), 9, "ie_len"),
    ("cut head", create1(more=b"\xff\x00"), 255, "ie_len"),
    ("cut list", create1(more=b"\x8d"), 141, "ie_len"),
]
CAUSES1 = {"ie_value": 201, "ie_missing": 202, "ie_len": 193, "pdn_type": 220}


@pytest.mark.parametrize(
    ("data", "element", "reason"), [row[1:] for row in ELEMENTS1], ids=[row[0] for row in ELEMENTS1]
)
def test_an_element_of_version_1_that_is_wrong_is_refused_by_name(
    data: bytes, element: int, reason: str
) -> None:
    """B44, B45, B49, B50: with the cause, the element and the header; an answer gets no cause."""
    error = refused(data)
    assert (error.reason, error.offending) == (reason, (element, 0))
    assert (error.version, error.message_type, error.sequence) == (1, data[1], 1)
    assert error.cause == (CAUSES1[reason] if data[1] == 16 else 0)


@pytest.mark.parametrize("data", [row[1] for row in ELEMENTS1 if row[3] != "ie_len"])
def test_what_can_be_read_of_a_wrong_message_of_version_1_is_read(data: bytes) -> None:
    """B44-B49"""
    message = decode(data, strict=False)
    assert message.kind in (Kind.CREATE_REQUEST, Kind.CREATE_RESPONSE)
