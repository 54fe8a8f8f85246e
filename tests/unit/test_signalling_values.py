"""What stands in GTP-C elements: values at their edges."""

import pytest

from engine.errors import SignallingError
from engine.signalling import elements
from engine.signalling.codec import decode
from engine.signalling.messages import (
    Bearer,
    Fteid,
)
from tests.support.gtpc import create1, create2, fteid, ie1, ie2, v1
from tests.support.signalling import TFT


@pytest.mark.parametrize(
    ("octets", "network"),
    [("44f001", ("440", "10")), ("130014", ("310", "410")), ("00f110", ("001", "01"))],
)
def test_two_and_three_digits_of_a_network_are_kept_apart(
    octets: str, network: tuple[str, str]
) -> None:
    """N5"""
    assert elements.plmn(bytes.fromhex(octets)) == network
    assert elements.write_plmn(network) == bytes.fromhex(octets)


def test_numbers_are_filled_up_and_read_without_what_fills() -> None:
    assert elements.write_digits("12345") == bytes.fromhex("2143f5")
    assert elements.write_digits("440101", 8) == bytes.fromhex("441010ffffffffff")
    assert elements.imsi(bytes.fromhex("441010ffffffffff")) == "440101"
    assert elements.imei(bytes.fromhex("5396830653830419")) == "3569386035384091"
    assert elements.msisdn(b"") is None


def test_an_empty_telephone_number_counts_as_none() -> None:
    assert decode(create2(msisdn=ie2(76, b""))).msisdn is None
    assert decode(create1(msisdn=ie1(134, b"\x91"))).msisdn is None


def test_a_longer_element_than_is_known_is_read_as_far_as_it_is_known() -> None:
    """TS 29.274 8.2.1: later releases may add octets."""
    message = decode(
        create2(
            rat=ie2(82, b"\x06\xff"),
            control=ie2(87, fteid() + b"more"),
            ambr=ie2(72, bytes.fromhex("00000001 00000002 00")),
        )
    )
    assert (message.rat, message.ambr_kbps) == (6, (1, 2))
    assert message.control == Fteid(6, 0x1000, "127.0.0.2")


def test_an_address_of_zeros_asks_for_any() -> None:
    """N2, O1"""
    paa = b"\x03\x00" + bytes(16) + bytes(4)
    message = decode(create2(pdn=b"", paa=ie2(79, paa)))
    assert (message.pdn_type, message.address4, message.address6) == (3, None, None)
    fixed = b"\x03\x40" + bytes.fromhex("20010db8000000070000000000000001") + bytes([10, 0, 0, 7])
    message = decode(create2(pdn=b"", paa=ie2(79, fixed)))
    assert (message.address4, message.address6) == ("10.0.0.7", "2001:db8:0:7::/64")


def test_a_pdn_type_without_addresses_is_for_the_gateway_to_refuse() -> None:
    """Non-IP and Ethernet (TS 29.274 8.34)."""
    message = decode(create2(pdn=ie2(99, b"\x04"), paa=ie2(79, b"\x04")))
    assert (message.pdn_type, message.address4, message.address6) == (4, None, None)


def test_the_type_that_is_asked_for_counts_before_that_of_the_address() -> None:
    paa = b"\x03\x00" + bytes(16) + bytes(4)
    assert decode(create2(pdn=ie2(99, b"\x02"), paa=ie2(79, paa))).pdn_type == 2


def test_a_user_address_of_version_1_may_leave_its_addresses_out() -> None:
    six = bytes.fromhex("20010db8000000070000000000000001")
    for body, type_and_addresses in (
        (b"\xf1\x21", (1, None, None)),
        (b"\xf1\x57", (2, None, None)),
        (b"\xf1\x8d", (3, None, None)),
        (b"\xf1\x8d\x0a\0\0\x07", (3, "10.0.0.7", None)),
        (b"\xf1\x8d" + six, (3, None, "2001:db8:0:7::/64")),
        (b"\x01\x21\0\0\0\0", (1, None, None)),
    ):
        message = decode(create1(user=ie1(128, body)))
        assert (message.pdn_type, message.address4, message.address6) == type_and_addresses


def test_the_network_of_version_1_is_that_of_the_location_where_no_area_is_named() -> None:
    """N5"""
    assert decode(create1()).network is None
    at = bytes.fromhex("01 44f001 0001 0002")
    assert decode(create1(uli=ie1(152, at))).network == ("440", "10")
    area = bytes.fromhex("130014 0001 01")
    assert decode(create1(area=ie1(3, area), uli=ie1(152, at))).network == ("310", "410")
    assert decode(create1(uli=ie1(152, b"\x01\x4a\xf0\x01"))).network is None


def test_addresses_of_version_1_come_in_pairs_of_control_and_user_plane() -> None:
    """B44: no more than the four that there can be."""
    six = bytes.fromhex("20010db8000000000000000000000002")
    more = {"c6": ie1(133, six), "u6": ie1(133, six), "fifth": ie1(133, bytes(3))}
    message = decode(create1(**more))
    assert message.control == Fteid(-1, 0x1000, "127.0.0.2", "2001:db8::2")
    assert message.bearers[0].fteids == (Fteid(-3, 0x2000, "127.0.0.3", "2001:db8::2"),)
    assert message.control is not None
    assert message.control.address == "127.0.0.2"
    one = decode(create1(gsn_user=b""), strict=False)
    assert one.bearers[0].fteids == ()
    kept = decode(v1(18, ie1(20, b"\x05") + ie1(133, six)), strict=False)
    assert (kept.control, kept.bearers) == (None, (Bearer(5),))


def test_a_template_without_a_bearer_is_nobodys() -> None:
    assert decode(v1(17, ie1(1, b"\x80") + ie1(137, TFT))).bearers == ()


@pytest.mark.parametrize(
    "octets",
    [
        "21 31 00 05 30 11 50 01bb",
        "a2 01 02",
        "40",
        "c0",
        "30 01 02 aabb",
        "80",
        "22 31 00 00 32 01 00",
    ],
)
def test_a_template_whose_lengths_fit_is_handed_on(octets: str) -> None:
    """B45"""
    assert elements.traffic_template(bytes.fromhex(octets)) == bytes.fromhex(octets)


@pytest.mark.parametrize(
    "octets",
    [
        "",
        "21",
        "21 31",
        "21 31 00",
        "21 31 00 ff 30 11",
        "21 31 00 05 30 11 50 01",
        "21 31 00 05 30 11 50 01bb 00",
        "a2 01",
        "30 01",
        "30 01 02 aa",
        "40 00",
        "21" + "00" * 255,
    ],
)
def test_a_template_whose_lengths_do_not_fit_is_refused(octets: str) -> None:
    """B45"""
    with pytest.raises(SignallingError):
        elements.traffic_template(bytes.fromhex(octets))


def test_the_first_end_of_an_interface_is_found() -> None:
    bearer = Bearer(5, (Fteid(4, 1, "127.0.0.1"), Fteid(5, 2, ipv6="::1")))
    end = bearer.fteid(5)
    assert end is not None
    assert end.address == "::1"
    assert bearer.fteid(0, 1) is None
    assert Fteid(4, 1).address == ""
