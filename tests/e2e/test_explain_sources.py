"""`pktoll explain`: which frame a number means, what it is if no packet, whence its figures come."""

import io
import json
import os
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engine.pool import StoreOptions, open_store
from tests.support.command import call, write
from tests.support.explained import LINE, MS, NEWS, RESOLVER, World, at, plain, to, up
from tests.support.packets import TIME_NS, ethernet, gtp, ipv4, ipv6, pcap, tcp, tunnel, udp
from tests.support.tshark import fields

ARP = (TIME_NS, bytes(12) + b"\x08\x06" + bytes(28))
ECHO = (TIME_NS, ethernet(tunnel(gtp(kind=1, flags=0x32, optional=bytes(4)))))


@pytest.fixture
def world(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> World:
    """Two SIMs of one contract with 1 000 bytes of coupon."""
    return World(tmp_path, capfd)


def mixture() -> list[Any]:
    """Frames with every class: charged, partly free, slow, delayed, dropped, exempt, spoofed, none."""
    frames: list[Any] = [up(0, to()), ARP, up(1, to(RESOLVER, port=53)), ECHO]
    frames += [up(2 + k, to(size=90 + k)) for k in range(16)]
    frames += [up(40, to(src="10.9.9.9")), up(41, to(), teid=99)]
    frames += [up(42, to(RESOLVER, port=53)) for _ in range(3)]
    frames += [plain(43, to("10.1.0.2")), up(1_500, to()), up(1_501, to(RESOLVER))]
    frames += [up(1_502, to()) for _ in range(6)] + [ECHO]
    return frames


def test_a_policed_packet_names_its_colour_and_the_tokens(world: World) -> None:
    """P5: the burst is 100; the first packet makes the SIM slow, its tokens are those of another rate"""
    world.coupon = False
    world.top = 'limiter = "police"\npolice = {yellow = "drop", excess_burst_bytes = 200}'
    capture = world.capture(up(0, to(size=900)), *(up(0, to()) for _ in range(4)))
    said = [
        world.explain(capture, number)["legs"][0]["steps"][-1]["text"] for number in range(1, 6)
    ]
    yellow = "dropped: marked yellow, which is not let through: 100 bytes, and tokens for"
    assert said[0].startswith("dropped: marked red, or yellow")
    assert said[1].endswith("out at once (limiter = police)")
    assert said[2:4] == [f"{yellow} 0 + 200", f"{yellow} 0 + 100"]
    assert said[4] == "dropped: marked red: 100 bytes, and tokens for 0 + 0"


def test_a_stamp_that_goes_back_is_told(world: World) -> None:
    """the packet counts as simultaneous with the one before, whatever the capture says"""
    frames = [up(0, to()), up(50, to()), up(20, to())]
    for count, words in ((2, ""), (3, "stamped earlier than one before them")):
        ended = world.run("explain", world.capture(*frames[:count]), "--packet", str(count))
        assert ended.status == 0
        assert f"({at(50)} ns)" in ended.out
        assert bool(ended.err) == bool(words)
        assert words in ended.err


def test_the_packets_add_up_to_the_replay(world: World) -> None:
    """I6: explained one by one, all packets together have the figures of the report"""
    world.coupon_bytes, world.restriction_bytes = 1_130, 900
    world.events = [
        {"at_ns": at(6), "do": "switch", "line": LINE, "on": False},
        {"at_ns": at(8), "do": "switch", "line": LINE, "on": True},
        {"at_ns": at(1_502), "do": "suspend", "line": "hdo00000002"},
    ]
    frames = mixture()
    capture = world.capture(*frames)
    report = world.replay(capture)
    found: Counter[str] = Counter()
    drops: Counter[str] = Counter()
    for number in range(1, len(frames) + 1):
        document = world.explain(capture, number)
        if document["verdict"] == "no-user-traffic":
            found["not_user_traffic_packets"] += 1
        elif not document["legs"]:
            drops[document["reason"]] += 1
        for leg in document["legs"]:
            found["packets"] += 1
            found["charged_bytes"] += leg["charged_bytes"]
            found["free_bytes"] += leg["free_bytes"]
            rest = leg["length_bytes"] - leg["charged_bytes"] - leg["free_bytes"]
            found[f"{leg['verdict']}_bytes"] += rest
            drops[leg["reason"]] += leg["reason"] is not None
    totals = report["totals"]
    lost = drops["teid"]
    assert found["packets"] + lost == totals["packets"]
    assert found["dropped_bytes"] + lost * 100 == totals["dropped_bytes"]
    for name in ("charged_bytes", "slow_bytes", "exempt_bytes", "free_bytes"):
        assert (name, found[name]) == (name, totals[name])
        assert found[name] > 0
    assert found["not_user_traffic_packets"] == totals["not_user_traffic_packets"]
    assert {name: drop["packets"] for name, drop in report["drops"].items()} == +Counter(
        {name: count for name, count in drops.items() if name}
    )


@pytest.mark.parametrize(
    ("number", "words"), [(0, "numbered from 1"), (-3, "numbered from 1"), (3, "has 2 packets")]
)
def test_a_number_that_is_not_in_the_capture_is_a_usage_error(
    world: World, number: int, words: str
) -> None:
    """Exit status 2"""
    capture = world.capture(up(0, to()), up(1, to()))
    ended = world.run("explain", capture, "--packet", str(number))
    assert (ended.status, ended.out) == (2, "")
    assert words in ended.err


def test_a_capture_of_one_or_no_packet_says_so(world: World) -> None:
    one = world.run("explain", world.capture(up(0, to())), "--packet", "2")
    assert "has one packet" in one.err
    none = world.run("explain", world.capture(name="none.pcap"), "--packet", "2")
    assert (one.status, none.status) == (2, 2)
    assert "has 0 packets" in none.err


def test_a_cut_capture_is_explained_up_to_the_cut(world: World) -> None:
    """F24: exit status 4 only for what stands behind it"""
    capture = world.capture(up(0, to()), up(1, to()), up(2, to()))
    whole = Path(capture).read_bytes()
    Path(capture).write_bytes(whole[:-7])
    assert world.explain(capture, 2)["verdict"] == "charged"
    ended = world.run("explain", capture, "--packet", "3")
    assert ended.status == 4
    assert "2 packets; packet 3 is not among them" in ended.err


def test_frames_that_are_no_user_traffic_are_named(world: World) -> None:
    """N6"""
    other = (TIME_NS, ethernet(ipv4(tcp(bytes(9)), protocol=6, dst=NEWS)))
    echo6 = (TIME_NS, ethernet(tunnel(gtp(kind=26, flags=0x32, optional=bytes(4)), "::2", "::3")))
    unknown = (TIME_NS, ethernet(tunnel(gtp(kind=77))))
    tcp_2152 = (TIME_NS, ethernet(ipv4(tcp(dst=2152), protocol=6)))
    broken = (TIME_NS, ethernet(ipv4(udp(bytes(8)), total=9)))
    short = (TIME_NS, ethernet(b"\x45\x00"))
    ping = (TIME_NS, ethernet(ipv6(bytes(8), following=58)))
    frames = [up(0, to()), ARP, ECHO, other, echo6, unknown, tcp_2152, broken, short, ping]
    capture = world.capture(*frames)
    said = {}
    for number in range(2, len(frames) + 1):
        document = world.explain(capture, number)
        assert (document["verdict"], document["packet"]) == ("no-user-traffic", None)
        said[number] = document["steps"][0]["text"]
    assert said[2] == "no IP packet"
    assert "UDP from 192.168.1.1 port 2152 to 192.168.1.2 port 2152, GTP-U message Echo" in said[3]
    assert said[4].startswith("TCP from 10.1.0.1 port 40000 to 198.18.0.80 port 443: not a G-PDU")
    assert "GTP-U message Error Indication" in said[5]
    assert "GTP-U message 77" in said[6]
    assert "message" not in said[7]
    assert said[8].startswith("UDP from 10.1.0.1 to")
    assert said[9].startswith("an IP packet that is cut short")
    assert said[10].startswith("ICMPv6 from 2001:db8:0:1::1 to")
    assert "packet 2 of" in world.text(capture, 2)


def test_a_packet_far_behind_in_a_capture_is_found(world: World) -> None:
    """More than is read at a time, of what is billed and of what is not"""
    large = (TIME_NS, ethernet(ipv4(tcp(bytes(60_000)), protocol=6)) + bytes(190_000))
    capture = world.capture(up(0, to()), *[large] * 20, ARP, up(1, to()))
    assert world.explain(capture, 22)["steps"][0]["text"] == "no IP packet"
    assert "TCP from 10.1.0.1" in world.explain(capture, 21)["steps"][0]["text"]
    assert world.explain(capture, 23)["legs"][0]["before"]["balance_bytes"] == 900


def test_a_link_layer_that_is_not_read_is_named(world: World) -> None:
    path = Path(world.folder / "radio.pcap")
    path.write_bytes(pcap([bytes(60)], link=105))
    document = world.explain(str(path), 1)
    assert document["steps"][0]["text"].endswith("pktoll does not look into: 105")


def test_the_numbers_are_those_of_tshark(shared: Path, tmp_path: Path, world: World) -> None:
    """Every frame of a real capture, user traffic or not"""
    path = shared / "captures" / "gtp" / "open5gs__testattach.pcapng"
    names = ("frame.number", "gtp.message", "gtp.teid", "frame.len")
    rows = fields(path, names, tmp_path)
    g_pdus = [row for row in rows if row[1] in ("0xff", "255")]
    for number, _, teid, size in g_pdus[:6]:
        ended = call(
            world.capfd, "explain", str(path), "--packet", number, "--format", "json", "-q"
        )
        packet = json.loads(ended.out)["packet"]
        assert (packet["teid"], packet["wire_bytes"]) == (int(teid, 16), int(size))


def test_standard_input_is_read_once_and_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no packet is looked at a second time"""
    data = Path(world.capture(up(0, to()), ARP)).read_bytes()
    for number, verdict in ((1, "charged"), (2, "no-user-traffic")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert world.explain("-", number)["verdict"] == verdict


def test_a_fifo_is_read_once_and_kept(world: World) -> None:
    data = Path(world.capture(up(0, to()), ECHO)).read_bytes()
    fifo = world.folder / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(data,))
    writer.start()
    document = world.explain(str(fifo), 2)
    writer.join()
    assert "Echo Request" in document["steps"][0]["text"]


def test_other_captures_are_billed_in_time_order_beside_the_first(world: World) -> None:
    """The number counts in the first named, whatever stands in the others"""
    early = world.capture(up(0, to()), up(10, to()), name="b.pcap")
    late = world.capture(*(up(5, to(size=200)) for _ in range(3)), ARP, name="a.pcap")
    both = world.run("explain", early, late, "--packet", "2", "--format", "json")
    leg = json.loads(both.out)["legs"][0]
    assert (leg["before"]["balance_bytes"], leg["arrival_ns"]) == (300, TIME_NS + 10 * MS)
    swapped = world.run("explain", late, early, "--packet", "2", "--format", "json")
    leg = json.loads(swapped.out)["legs"][0]
    assert (leg["before"]["balance_bytes"], leg["length_bytes"]) == (700, 200)
    none = world.run("explain", late, early, "--packet", "4", "--format", "json")
    assert json.loads(none.out)["verdict"] == "no-user-traffic"


def test_a_coupon_database_is_copied_and_left_as_it_is(world: World) -> None:
    """D9: nothing that is tried is kept"""
    url = f"sqlite:///{world.folder / 'coupons.db'}"
    capture = world.capture(up(0, to()), up(1, to()), up(2, to()))
    world.run("replay", capture, "--pool", url)
    files = {path: path.read_bytes() for path in world.folder.glob("coupons.db*")}
    ended = world.run("explain", capture, "--packet", "2", "--pool", url, "--format", "json")
    assert json.loads(ended.out)["legs"][0]["before"]["balance_bytes"] == 600
    assert "nothing in it was changed" in ended.err
    assert {path: path.read_bytes() for path in world.folder.glob("coupons.db*")} == files


def test_the_copy_is_made_while_a_gateway_uses_the_database(world: World) -> None:
    """B82: with what it has written so far"""
    path = world.folder / "coupons.db"
    url = f"sqlite:///{path}"
    capture = world.capture(up(0, to()))
    world.run("replay", capture, "--pool", url)
    store = open_store(url, StoreOptions(gateway="other"))
    try:
        ended = world.run("explain", capture, "--packet", "1", "--pool", url, "--format", "json")
        assert json.loads(ended.out)["legs"][0]["before"]["balance_bytes"] == 900
    finally:
        store.close()


@pytest.mark.parametrize(
    ("url", "status", "words"),
    [
        ("postgresql://nobody@localhost/none", 2, "cannot be copied"),
        ("sqlite:///{folder}/missing.db", 1, "there is no such file"),
        ("sqlite:///{folder}/world.pcap", 1, "not a SQLite database"),
        ("mysql://x", 2, "not a coupon database"),
    ],
)
def test_a_database_that_cannot_be_copied_is_refused(
    world: World, url: str, status: int, words: str
) -> None:
    """Exit status 2 for what makes no sense, 1 for what is not there"""
    capture = world.capture(up(0, to()))
    where = url.format(folder=world.folder)
    ended = world.run("explain", capture, "--packet", "1", "--pool", where)
    assert (ended.status, ended.out) == (status, "")
    assert words in ended.err
    assert ended.err.count("\n") == 1


def test_without_anybody_named_the_usual_addresses_are_sims(world: World) -> None:
    """As in a replay, and told"""
    capture = write(world.folder / "plain.pcap", [plain(0, to())])
    ended = call(world.capfd, "explain", capture, "--packet", "1")
    assert (ended.status, "neither --subscribers nor --ue-net" in ended.err) == (0, True)
    assert "uplink of 10.1.0.1, plan" in ended.out
    quiet = call(world.capfd, "explain", capture, "--packet", "1", "-q")
    assert (quiet.out, quiet.err) == (ended.out, "")
