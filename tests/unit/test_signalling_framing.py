"""GTP-C around its elements: repeated, unknown, nested, piggybacked, extended; and bounded work."""

import contextlib
import struct
import sys
from collections.abc import Callable

import pytest

from engine.errors import SignallingError
from engine.signalling.causes import NUMBERS, Cause, accepted, named, number
from engine.signalling.codec import decode
from engine.signalling.messages import Kind
from tests.support.gtpc import (
    CREATE,
    CREATE_PDP,
    IMSI,
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
from tests.support.signalling import EVERY


def test_a_short_element_that_no_version_knows_ends_what_can_be_read() -> None:
    data = create1(apn=b"\x00", more=ie1(131, b"\x01a"))
    error = refused(data)
    assert (error.reason, error.cause) == ("ie_type", 193)
    assert decode(data, strict=False).apn is None
    assert decode(data, strict=False).imsi == "440101234567890"


def test_elements_that_nobody_knows_are_gone_past() -> None:
    unknown = ie2(254, b"abc") + ie2(0, b"") + ie2(71, b"\x01b", 5) + ie2(93, b"", 3)[:0]
    assert decode(create2(more=unknown)) == decode(create2())
    assert decode(create1(more=ie1(200, b"abc") + ie1(254, b""))) == decode(create1())
    listed = b"\x8d\x02\x01\x02"
    assert decode(create1(more=listed + ie1(151, b"\x01"))).rat == 1


def test_of_an_element_that_is_there_twice_the_first_counts() -> None:
    """B46: duplicate IMSI, APN, bearer context; a second F-TEID of the same instance."""
    twice = create2(more=ie2(1, b"\x99" * 7) + ie2(71, b"\x01b") + context(fteid=b""))
    assert decode(twice) == decode(create2())
    again = ie2(87, fteid(4, 0x9999), 2) + ie2(73, b"\x06") + ie2(80, b"")
    assert decode(create2(bearer=context(again=again))) == decode(create2())
    wrong = create1(more=ie1(2, bytes(8)) + ie1(131, b"\xff") + ie1(151, b"\x01"))
    assert decode(wrong).imsi == "440101234567890"
    assert decode(wrong).rat == 1


def test_of_bearer_contexts_no_more_are_read_than_there_are_bearers() -> None:
    """B46"""
    more = b"".join(
        ie2(93, ie2(73, bytes([n % 16])) + ie2(87, fteid(4, n + 1), 2)) for n in range(1, 40)
    )
    message = decode(create2(bearer=b"", more=more))
    assert [bearer.bearer_id for bearer in message.bearers] == list(range(1, 16))


def test_more_elements_than_a_message_can_have_are_refused() -> None:
    """B50"""
    start = len(CREATE) + 3
    assert decode(create2(more=ie2(254, b"") * (256 - start))).kind is Kind.CREATE_REQUEST
    error = refused(create2(more=ie2(254, b"") * (257 - start)))
    assert (error.reason, error.cause) == ("ie_count", 65)
    assert refused(create2(bearer=ie2(93, ie2(73, b"\5") * 300)), strict=False).reason == "ie_count"
    assert refused(create1(more=ie1(3, bytes(6)) * 250)).cause == 193


def test_elements_nested_too_deep_are_refused() -> None:
    """B50: three levels are allowed, 100 cost nothing."""

    def nested(depth: int) -> bytes:
        body = b""
        for _ in range(depth):
            body = ie2(109, body)
        return body

    assert decode(create2(more=nested(2))) == decode(create2())
    for depth in (3, 100):
        for strict in (True, False):
            assert refused(create2(more=nested(depth)), strict).reason == "ie_depth"


def test_a_message_without_its_teid_is_refused() -> None:
    error = refused(v2(36, teid=None))
    assert (error.reason, error.cause, error.teid) == ("noteid", 65, None)
    assert decode(v2(36, teid=None), strict=False).kind is Kind.DELETE_REQUEST
    assert decode(v2(1, ie2(3, b"\x05"), teid=None)).recovery == 5


def test_what_is_piggybacked_is_one_message_that_ends_the_datagram() -> None:
    """B50: none on the second, none of another version, none cut, no octets behind."""
    first = v2(33, ie2(2, b"\x10\0"), teid=1, flags=0x50)
    second = v2(95, ie2(73, b"\x05"), teid=1)
    assert decode(first + second).piggybacked == decode(second)
    wrong = [
        first,
        first + v2(95, teid=1, flags=0x50),
        first + v2(95, teid=1, flags=0x50) + second,
        first + create1(),
        first + second + b"\0",
        first + second[:7],
    ]
    for data in wrong:
        for strict in (True, False):
            error = refused(data, strict)
            assert (error.reason, error.cause, error.message_type) == ("piggyback", 0, 33)
    for end in (8, len(second) - 1):
        assert refused(first + second[:end]).reason in ("len", "short")


def test_a_fault_in_what_is_piggybacked_has_the_header_of_its_own() -> None:
    first = v2(33, ie2(2, b"\x10\0"), teid=1, flags=0x50)
    second = v2(95, ie2(93, ie2(80, b"")), teid=3, sequence=0x800001)
    error = refused(first + second)
    assert (error.message_type, error.teid, error.sequence, error.cause) == (95, 3, 0x800001, 69)


def extensions(*headers: bytes) -> bytes:
    return v1(1, b"".join(headers), flags=0x36, extension=0x40 if headers else 0)


def test_extension_headers_are_gone_past() -> None:
    """B14: those that need not be understood; at most eight of them (B07)."""
    one, last = b"\x01\x08\x68\x40", b"\x01\x08\x68\x00"
    assert decode(extensions()).kind is Kind.ECHO_REQUEST
    assert decode(extensions(last)).kind is Kind.ECHO_REQUEST
    assert decode(extensions(*[one] * 7, last)).kind is Kind.ECHO_REQUEST
    assert decode(extensions(b"\x02" + bytes(7), ie1(14, b"\x09"))).recovery == 9
    assert refused(extensions(*[one] * 8, last)).reason == "ext_count"
    assert refused(extensions(*[one] * 300), strict=False).reason == "ext_count"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (extensions(b"\x00\x00\x00\x00"), "ext_len"),
        (extensions(b"\x02\x00\x00\x00"), "ext_len"),
        (v1(1, flags=0x36, extension=0x40), "ext_len"),
        (v1(1, bytes(4), flags=0x34, extension=0xC0), "noseq"),
        (v1(1, b"\x01\0\0\0", flags=0x36, extension=0xC0), "ext_required"),
        (v1(1, b"\x01\0\0\0", flags=0x36, extension=0x85), "ext_required"),
        (bytes.fromhex("3201000000000000"), "noseq"),
        (v1(1, flags=0x30), "noseq"),
    ],
)
def test_an_optional_header_that_is_wrong_is_named(data: bytes, reason: str) -> None:
    """B05, B06, B12, B14 on the control plane."""
    assert refused(data).reason == reason


def test_an_extension_that_must_be_understood_is_told() -> None:
    """B14"""
    body = b"\x01\0\0\0" + b"".join(CREATE_PDP.values())
    error = refused(v1(16, body, flags=0x36, extension=0xC1))
    assert (error.reason, error.cause) == ("ext_required", 214)
    assert decode(v1(16, body, flags=0x36, extension=0xC1), strict=False).imsi is not None


@pytest.mark.parametrize(
    "data", ["3201000000000000", "32010002000000000001", "3201000200000000000100000000"]
)
def test_an_optional_header_that_is_cut_is_too_short_for_captures_too(data: str) -> None:
    """B11"""
    assert refused(bytes.fromhex(data), strict=False).reason == "short"


def test_a_capture_may_lack_the_sequence_number() -> None:
    message = decode(v1(1, ie1(14, b"\x05"), flags=0x30), strict=False)
    assert (message.sequence, message.recovery) == (0, 5)
    assert decode(v1(1, flags=0x31), strict=False).sequence == 0


def calls_of(function: Callable[[], object]) -> int:
    """Function calls made, in Python and in C: a measure of work that no clock disturbs."""
    count = 0

    def seen(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


FULL = 65_507
FLOODS = {
    "elements": v2(32, ie2(254, b"") * 16_000, teid=0),
    "one element": v2(32, ie2(1, bytes(65_000)), teid=0),
    "wrong APNs": v2(32, ie2(71, b"\x01a" * 49 + b"\x02a") * 256, teid=0),
    "wrong options": v2(32, ie2(78, b"\x80" + b"\0\x01\0" * 82 + b"\0") * 255, teid=0),
    "F-TEIDs": v2(32, ie2(93, ie2(87, fteid(4), 1) * 254), teid=0),
    "contexts": v2(32, ie2(93, ie2(84, bytes.fromhex("30") + b"\0\0" * 126)) * 128, teid=0),
    "depth": v2(32, ie2(93, ie2(93, ie2(93, bytes(65_000)))), teid=0),
    "elements 1": v1(16, ie1(3, bytes(6)) * 9_000),
    "one element 1": v1(16, ie1(255, bytes(65_000))),
    "addresses 1": v1(16, ie1(133, bytes(3)) * 256),
    "extensions 1": v1(16, b"\x01\0\0\x40" * 16_000, flags=0x36, extension=0x40),
    "wrong APNs 1": v1(16, ie1(131, b"\x01a" * 49 + b"\x02a") * 256),
}


@pytest.mark.parametrize("name", FLOODS)
def test_work_is_bounded_for_any_datagram(name: str) -> None:
    """B24, B50: the largest that UDP carries, full of the same thing again and again."""
    data = FLOODS[name]
    assert len(data) <= FULL

    def run() -> None:
        with contextlib.suppress(SignallingError):
            decode(data, strict=False)

    assert calls_of(run) < 6_000
    plain = create2()
    assert calls_of(lambda: decode(plain)) < 400


def test_the_measure_of_work_sees_what_is_not_bounded() -> None:
    """The check itself."""
    assert calls_of(lambda: [struct.pack("!B", 1) for _ in range(7_000)]) > 6_000


def test_causes_have_a_number_and_a_name_in_both_versions() -> None:
    assert set(NUMBERS) == set(Cause)
    for version in (1, 2):
        for cause in Cause:
            value = number(version, cause)
            assert 0 < value < 256
            assert number(version, named(version, value) or Cause.REJECTED) == value
    assert named(2, 255) is None
    assert [accepted(2, value) for value in (None, 15, 16, 19, 63, 64)] == [
        False,
        False,
        *[True] * 3,
        False,
    ]
    assert [accepted(1, value) for value in (127, 128, 130, 191, 192)] == [
        False,
        *[True] * 3,
        False,
    ]


def test_imsi_of_the_samples_is_what_is_said() -> None:
    assert decode(create2()).imsi == decode(create1()).imsi == "440101234567890"
    assert IMSI[-1] >> 4 == 0xF
    assert len(EVERY) > 35
