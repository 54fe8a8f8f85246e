"""`pktoll explain`: each kind of verdict once, with its rules in order and its figures."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.explained import (
    LINE,
    MS,
    NEWS,
    OTHER,
    PORTAL,
    RESOLVER,
    World,
    at,
    plain,
    rules,
    to,
    up,
)
from tests.support.packets import TIME_NS, UE, gtp, ipv4, tcp, tunnel, udp
from tests.support.packets import ethernet as frame


@pytest.fixture
def world(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> World:
    """Two SIMs of one contract with 1 000 bytes of coupon."""
    return World(tmp_path, capfd)


def only(document: dict[str, Any]) -> dict[str, Any]:
    """The one leg of a packet."""
    (leg,) = document["legs"]
    assert (leg["verdict"], leg["reason"]) == (document["verdict"], document["reason"])
    found: dict[str, Any] = leg
    return found


def text_of(part: dict[str, Any], rule: str) -> str:
    """What is said of a rule."""
    texts: list[str] = [step["text"] for step in part["steps"] if step["rule"] == rule]
    return texts[0]


def test_a_charged_packet_opens_the_session_and_takes_the_first_slice(world: World) -> None:
    """D1, P1"""
    capture = world.capture(up(0, to()))
    document = world.explain(capture, 1)
    leg = only(document)
    assert rules(leg) == ["N6", "D1", "D1", "P1", "S4"]
    assert (leg["verdict"], leg["charged_bytes"], leg["wait_ns"]) == ("charged", 100, 0)
    assert (leg["line"], leg["direction"], leg["plan"]) == (LINE, "uplink", "tiny")
    before, after = leg["before"], leg["after"]
    assert (before["session"], before["balance_bytes"], before["grants"]) == ("none", 0, 0)
    assert (after["session"], after["balance_bytes"], after["grants"]) == ("open", 900, 1)
    assert document["packet"]["time_ns"] == leg["arrival_ns"] == leg["departure_ns"] == TIME_NS
    assert (document["packet"]["teid"], document["packet"]["receiver"]) == (1, "192.168.1.2")
    said = world.text(capture, 1)
    assert "2013-11-05 09:00:00.123456789 JST" in said
    assert "; 0 slices so far\n" in said
    assert "; 1 slice so far\n" in said
    assert "UDP 10.1.0.1:40000 > 198.18.0.80:443, 100 bytes of IP, TEID 0x00000001" in said
    assert "CHARGED: 100 bytes charged; out at once" in said


def test_the_last_bytes_of_the_coupon_are_charged_and_the_rest_is_free(world: World) -> None:
    """D7, D5"""
    world.coupon_bytes = 130
    capture = world.capture(up(0, to()), up(1, to()))
    leg = only(world.explain(capture, 2))
    assert rules(leg) == ["N6", "D5", "P1", "S4", "D7"]
    assert (leg["charged_bytes"], leg["free_bytes"]) == (30, 70)
    assert not leg["before"]["database_empty"]
    assert leg["after"]["database_empty"]
    assert "30 bytes charged, 70 free" in world.text(capture, 2)


def test_a_packet_that_goes_on_with_the_next_slice_is_charged_whole(world: World) -> None:
    """D7"""
    world.balance_bytes = 50
    capture = world.capture(up(0, to()))
    leg = only(world.explain(capture, 1))
    assert rules(leg) == ["N6", "D1", "D7", "P1", "S4"]
    assert text_of(leg, "D7").endswith("the database hands out a slice of 1000 bytes")
    assert (leg["charged_bytes"], leg["free_bytes"]) == (100, 0)
    assert (leg["before"]["balance_bytes"], leg["after"]["balance_bytes"]) == (50, 950)


def test_a_coupon_that_is_off_makes_slow_and_the_queue_says_when(world: World) -> None:
    """P2, P4: a byte a millisecond, 100 of them at once"""
    world.coupon = False
    capture = world.capture(*(up(0, to()) for _ in range(5)))
    legs = [only(world.explain(capture, number)) for number in range(1, 6)]
    assert [leg["verdict"] for leg in legs] == ["slow"] * 4 + ["dropped"]
    assert [leg["wait_ns"] for leg in legs] == [0, 100 * MS, 200 * MS, 300 * MS, None]
    assert rules(legs[2])[-3:] == ["P2", "P2", "P4"]
    assert "the coupon is off" in text_of(legs[2], "P2")
    below = 200 * 8 * 10**9
    assert text_of(legs[2], "P4").endswith(f"ceil({below} / 8000) = {200 * MS} ns")
    assert legs[2]["after"]["up"]["credit_bit_ns"] == -below
    assert legs[2]["after"]["up"]["queue_bytes"] == 200
    assert legs[2]["before"]["up"]["queue_ns"] == 100 * MS
    assert legs[2]["before"]["down"]["queue_ns"] == 0
    assert "out 200.000000 ms later, at 2013-11-05 09:00:00.323456789" in world.text(capture, 3)


def test_a_full_queue_drops_from_its_tail(world: World) -> None:
    """P4"""
    world.coupon = False
    capture = world.capture(*(up(0, to()) for _ in range(5)))
    document = world.explain(capture, 5)
    leg = only(document)
    assert (document["verdict"], document["reason"]) == ("dropped", "queue")
    assert (leg["charged_bytes"], leg["departure_ns"]) == (0, None)
    assert text_of(leg, "P4") == (
        f"dropped: with its 100 bytes {400 * 8 * 10**9} bit-ns would wait, and"
        f" {300 * 8 * 10**9} fit in the queue"
    )
    assert "DROPPED (queue), not charged" in world.text(capture, 5)


def test_an_empty_coupon_makes_slow(world: World) -> None:
    """P2, D5, P3: at once"""
    world.coupon_bytes = 100
    capture = world.capture(up(0, to()), up(1, to()), up(2, to()))
    asks, knows = (only(world.explain(capture, number)) for number in (2, 3))
    assert rules(asks) == ["N6", "D5", "P2", "P2", "P3", "P4"]
    assert rules(knows) == ["N6", "P2", "P2", "P4"]
    assert "neither the SIM nor the database" in text_of(knows, "P2")
    assert "database empty" in world.text(capture, 3)


def test_a_change_of_speed_keeps_what_is_queued(world: World) -> None:
    """P3: the last of the slow queue leaves after 200 ms, and nothing overtakes it"""
    world.coupon = False
    world.events = [{"at_ns": at(50), "do": "switch", "line": LINE, "on": True}]
    capture = world.capture(*(up(0, to()) for _ in range(3)), up(50, to()))
    leg = only(world.explain(capture, 4))
    assert leg["verdict"] == "charged"
    assert rules(leg) == ["N6", "D1", "P1", "P3", "S4"]
    assert f"the last in {150 * MS} ns" in text_of(leg, "P3")
    assert leg["wait_ns"] == 150 * MS + 21_334
    assert leg["before"]["speed"] == "slow"
    assert leg["after"]["up"]["held_bit_ns"] == 150 * MS * 37_500_000


def test_a_drop_behind_a_change_of_speed_tells_what_is_held(world: World) -> None:
    """P3, P4: the queue of high speed has room for 150 bytes beside what was queued before"""
    world.coupon = False
    world.events = [{"at_ns": at(50), "do": "switch", "line": LINE, "on": True}]
    capture = world.capture(*(up(0, to()) for _ in range(3)), up(50, to()), up(50, to()))
    leg = only(world.explain(capture, 5))
    assert (leg["verdict"], leg["reason"]) == ("dropped", "queue")
    assert "of which 5625000000000000 since before the speed changed" in text_of(leg, "P4")


def test_no_packet_waits_longer_than_any_may(world: World) -> None:
    """P4: whatever the queue would hold"""
    world.coupon, world.slow_queue_bytes = False, 65_000
    capture = world.capture(up(0, ipv4(udp(bytes(60_000)))))
    leg = only(world.explain(capture, 1))
    assert (leg["verdict"], leg["reason"]) == ("dropped", "queue")
    below = (60_028 - 100) * 8 * 10**9
    assert text_of(leg, "P4") == (
        f"dropped: it would wait until {below} bit-ns have passed, longer than any packet may"
    )


def test_the_restriction_bites_above_the_volume_of_three_days(world: World) -> None:
    """R1, R4"""
    world.coupon, world.restriction_bytes = False, 150
    capture = world.capture(up(0, to()), up(1_000, to()), up(2_000, to()), up(2_000, to()))
    free, bitten = (only(world.explain(capture, number)) for number in (2, 3))
    assert (free["after"]["speed"], bitten["after"]["speed"]) == ("slow", "restricted")
    assert rules(bitten) == ["N6", "P2", "R1", "P3", "P4"]
    assert "200 bytes that count in 3 days (immediate), above 150" in text_of(bitten, "R1")
    assert bitten["after"]["up"]["rate_bps"] == 4_000
    window = {"effective": "immediate", "limit_bytes": 150, "window_bytes": 200, "in_force": True}
    assert bitten["before"]["restriction"] == window
    assert "3 days 200 of 150 bytes" in world.text(capture, 3)


def test_a_restricted_sim_with_a_coupon_is_fast(world: World) -> None:
    """R5"""
    world.coupon, world.restriction_bytes = False, 150
    world.events = [{"at_ns": at(1_500), "do": "switch", "line": LINE, "on": True}]
    capture = world.capture(up(0, to()), up(1_000, to()), up(2_000, to()))
    leg = only(world.explain(capture, 3))
    assert leg["verdict"] == "charged"
    assert rules(leg) == ["N6", "D1", "P1", "R5", "P3", "S4"]


def test_an_exempt_packet_names_its_endpoint_and_its_rating_group(world: World) -> None:
    """X1, X2, X3, X4"""
    capture = world.capture(up(0, to(RESOLVER, port=53)), up(1, to(PORTAL)))
    named, portal = (only(world.explain(capture, number)) for number in (1, 2))
    assert rules(named) == ["N6", "D1", "D1", "X2", "X1", "X3", "X4"]
    assert text_of(named, "X2") == "192.0.2.53 UDP port 53 is of exempt endpoint resolver"
    assert "rating group 10 (dns)" in text_of(named, "X3")
    assert (named["charged_bytes"], named["free_bytes"]) == (0, 0)
    group = {"rating_group": 10, "name": "dns", "today_bytes": 100, "cap_bytes_per_day": 250}
    assert named["after"]["rating_groups"] == [group]
    assert "rating group 0 (exempt)" in text_of(portal, "X3")
    assert "dns today 100 of 250 bytes" in world.text(capture, 1)


def test_exempt_packets_that_are_charged_say_so(world: World) -> None:
    """X3: the setting exempt.charge"""
    world.top = "[exempt]\ncharge = true"
    capture = world.capture(up(0, to(PORTAL)))
    leg = only(world.explain(capture, 1))
    assert (leg["verdict"], leg["charged_bytes"]) == ("exempt", 100)
    assert text_of(leg, "X3").startswith("100 bytes charged (exempt.charge)")


def test_an_exempt_packet_above_the_cap_is_like_any_other(world: World) -> None:
    """X3, B41x"""
    capture = world.capture(*(up(k, to(RESOLVER, port=53)) for k in range(3)))
    leg = only(world.explain(capture, 3))
    assert (leg["verdict"], leg["charged_bytes"]) == ("charged", 100)
    assert rules(leg) == ["N6", "X3", "P1", "S4"]
    assert "200 + 100 bytes are above the 250 of dns a day" in text_of(leg, "X3")


def test_exempt_packets_are_bounded_by_the_high_speed(world: World) -> None:
    """X4: 1 000 bytes at once, 150 in the queue"""
    world.high_bps = 8_000
    capture = world.capture(*(up(0, to(PORTAL)) for _ in range(12)))
    waits, full = (only(world.explain(capture, number)) for number in (11, 12))
    assert (waits["verdict"], waits["wait_ns"]) == ("exempt", 100 * MS)
    assert text_of(waits, "X4").endswith(f"= {100 * MS} ns")
    assert (full["verdict"], full["reason"]) == ("dropped", "queue")
    assert text_of(full, "X4").startswith("dropped: with its 100 bytes")


def test_why_a_packet_to_an_exempt_address_is_not_exempt(world: World) -> None:
    """X2: another port, and ports that cannot be relied on (B32)"""
    short = ipv4(bytes(4), dst=RESOLVER)
    other = ipv4(tcp(dst=53), dst=RESOLVER, protocol=6)
    capture = world.capture(up(0, to(RESOLVER)), up(1, short), up(2, other))
    port, no_ports, protocol = (only(world.explain(capture, number)) for number in (1, 2, 3))
    assert text_of(protocol, "X2").endswith("but not for TCP port 53: not exempt")
    assert text_of(port, "X2").endswith("but not for UDP port 443: not exempt")
    assert text_of(no_ports, "X2").endswith("but the packet shows no ports that count: not exempt")
    assert [leg["verdict"] for leg in (port, no_ports)] == ["charged", "charged"]


def test_a_source_route_is_named_as_the_reason(world: World) -> None:
    """X2: loose source route, RFC 791 3.1"""
    route = b"\x83\x07\x04\xc6\x33\x64\x09\x00"
    capture = world.capture(up(0, ipv4(udp(bytes(72), dst=53), dst=RESOLVER, options=route)))
    leg = only(world.explain(capture, 1))
    assert text_of(leg, "X2").endswith(
        "but the packet has a source route to go on with: not exempt"
    )
    assert leg["verdict"] == "charged"


def test_fragments_inherit_from_their_first(world: World) -> None:
    """X4, B37"""
    first = ipv4(udp(bytes(72), dst=53, length=500), dst=RESOLVER, fragment=0x2000)
    later = ipv4(bytes(80), dst=RESOLVER, fragment=10)
    capture = world.capture(up(0, later), up(1, first), up(2, later))
    stray, named, heir = (world.explain(capture, number) for number in (1, 2, 3))
    assert [d["packet"]["fragment"] for d in (stray, named, heir)] == ["later", "first", "later"]
    assert [d["verdict"] for d in (stray, named, heir)] == ["charged", "exempt", "exempt"]
    assert "no exempt first fragment" in text_of(only(stray), "X4")
    assert "inherits from the first" in text_of(only(heir), "X4")
    assert "a later fragment" in world.text(capture, 3)


def test_a_spoofed_source_is_dropped(world: World) -> None:
    """N7"""
    capture = world.capture(up(0, to(src="10.9.9.9")))
    document = world.explain(capture, 1)
    assert (document["verdict"], document["reason"]) == ("dropped", "spoof")
    assert rules(only(document)) == ["N6", "N7"]


@pytest.mark.parametrize(
    ("verb", "reason", "rule"), [("suspend", "suspended", "L1"), ("detach", "detached", "N6")]
)
def test_a_line_without_service_drops(world: World, verb: str, reason: str, rule: str) -> None:
    """L1, N6: the event before the packet has come to pass in the state before it"""
    world.events = [{"at_ns": at(5), "do": verb, "line": LINE}]
    capture = world.capture(up(0, to()), up(5, to()))
    document = world.explain(capture, 2)
    assert (document["verdict"], document["reason"]) == ("dropped", reason)
    assert rules(only(document)) == ["N6", rule]
    assert only(document)["before"]["in_service"] == (verb != "suspend")
    assert world.explain(capture, 1)["verdict"] == "charged"


def test_a_policer_drops_what_is_red(world: World) -> None:
    """P5: limiter = "police" has no queue"""
    world.coupon, world.top = False, 'limiter = "police"'
    portal = [up(0, to(PORTAL)) for _ in range(11)]
    capture = world.capture(up(0, to()), up(0, to()), *portal)
    green, red, exempt, over = (only(world.explain(capture, number)) for number in (1, 2, 3, 13))
    assert (over["verdict"], over["reason"]) == ("dropped", "policed")
    assert text_of(over, "X4") == "dropped: marked red: 100 bytes, and tokens for 0 + 0"
    assert [leg["verdict"] for leg in (green, red, exempt)] == ["slow", "dropped", "exempt"]
    assert red["reason"] == "policed"
    assert text_of(red, "P5") == "dropped: marked red: 100 bytes, and tokens for 0 + 0"
    assert green["after"]["tokens"]["up"] == {"committed_bytes": 0, "other_bytes": 0}
    assert text_of(exempt, "X4").endswith("out at once (limiter = police)")
    assert "tokens 0 + 0 bytes" in world.text(capture, 2)


def test_a_packet_of_an_unknown_teid_is_nobody_s(world: World) -> None:
    """N7, B19"""
    capture = world.capture(up(0, to(src="10.77.0.1"), teid=99), up(1, to()))
    document = world.explain(capture, 1)
    assert (document["verdict"], document["reason"], document["legs"]) == ("dropped", "teid", [])
    assert rules(document) == ["N7"]
    assert "DROPPED (teid)" in world.text(capture, 1)


def test_a_packet_between_two_sims_has_two_legs(world: World) -> None:
    """B23: each has its own account"""
    world.tunnelled = False
    capture = world.capture(plain(0, to("10.1.0.2")), plain(1, to()))
    document = world.explain(capture, 1)
    first, second = document["legs"]
    assert [(leg["line"], leg["direction"]) for leg in (first, second)] == [
        (LINE, "uplink"),
        (OTHER, "downlink"),
    ]
    assert [leg["charged_bytes"] for leg in (first, second)] == [100, 0]
    assert second["verdict"] == "slow"
    assert rules(second) == ["N6", "D1", "D5", "P2", "P2", "P4"]
    assert document["packet"]["teid"] is None


def test_a_packet_that_a_sim_sends_to_itself_shows_its_state_between_the_legs(world: World) -> None:
    """B23"""
    world.tunnelled = False
    capture = world.capture(plain(0, to(UE)))
    first, second = world.explain(capture, 1)["legs"]
    assert first["after"] == second["before"]
    assert [leg["after"]["balance_bytes"] for leg in (first, second)] == [900, 800]


def test_a_plain_packet_of_no_sim_is_no_user_traffic(world: World) -> None:
    """N6"""
    capture = world.capture(plain(0, to(src="10.77.0.1")), plain(1, to()))
    world.tunnelled = False
    document = world.explain(capture, 1)
    assert (document["verdict"], document["reason"]) == ("no-user-traffic", None)
    assert "NO USER TRAFFIC" in world.text(capture, 1)


def test_a_malformed_frame_is_dropped_by_its_reason(world: World) -> None:
    """B02: a datagram at the GTP-U port of which not even the type can be read"""
    broken = (TIME_NS, frame(tunnel(b"\x30")))
    capture = world.capture(broken, up(1, to()))
    document = world.explain(capture, 1)
    assert (document["verdict"], document["reason"], document["legs"]) == ("dropped", "short", [])
    assert document["packet"]["wire_bytes"] == len(broken[1])
    assert f"{len(broken[1])} bytes" in world.text(capture, 1)


def test_a_packet_that_the_capture_cut_is_told(world: World) -> None:
    """B63"""
    at_ns, whole = up(0, to())
    capture = world.capture((at_ns, whole[:-20], len(whole)))
    assert world.explain(capture, 1)["packet"]["cut"]
    assert "100 bytes of IP, cut in the capture" in world.text(capture, 1)


def test_a_broken_inner_packet_is_dropped_at_its_sim(world: World) -> None:
    """B27, N7"""
    capture = world.capture((TIME_NS, frame(tunnel(gtp(to(total=101))))))
    document = world.explain(capture, 1)
    assert (document["verdict"], document["reason"]) == ("dropped", "len")
    assert rules(only(document)) == ["N6", "N7"]


def test_the_length_is_that_of_the_basis(world: World) -> None:
    """U3"""
    world.top = 'count = "l4-payload"'
    capture = world.capture(up(0, to(NEWS)))
    document = world.explain(capture, 1)
    assert (document["packet"]["length_bytes"], document["packet"]["count"]) == (72, "l4-payload")
    assert only(document)["charged_bytes"] == 72
    assert "72 bytes of payload" in world.text(capture, 1)
