"""Another exempt list in the middle of a replay: from that nanosecond on, and without losing a packet."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import packets
from tests.support.command import MS, call, write

BOOK = """
[[contract]]
code = "hdd00000001"
plan = "minimum-start"
started = 2013-10-01
  [[contract.line]]
  code = "hdo00000001"
  addresses = ["10.1.0.1"]
  coupon = false
"""
LIST = """
[[exempt.rating_group]]
id = 77
name = "other"
cap_bytes_per_day = {cap}
[[exempt.endpoint]]
name = "other"
prefixes = ["203.0.113.53"]
protocol = "udp"
ports = [53]
rating_group = 77
"""
OLD, NEW = "192.0.2.53", "203.0.113.53"
CHANGE_NS = 500 * MS
SIZE = 100

Capfd = pytest.CaptureFixture[str]


def question(at_ns: int, resolver: str, fragment: int = 0) -> packets.Frame:
    """A look-up of SIZE bytes; or a fragment of one."""
    inner = packets.ipv4(packets.udp(bytes(SIZE - 28), dst=53), dst=resolver, fragment=fragment)
    return packets.TIME_NS + at_ns, packets.ethernet(inner)


def bill(capfd: Capfd, folder: Path, frames: list[packets.Frame], cap: int = 0) -> dict[str, Any]:
    """The document of a replay in which the list changes at CHANGE_NS."""
    (folder / "book.toml").write_text(BOOK)
    (folder / "lists").mkdir(exist_ok=True)
    (folder / "lists" / "other.toml").write_text(LIST.format(cap=cap))
    event = {"at_ns": packets.TIME_NS + CHANGE_NS, "do": "exempt", "file": "lists/other.toml"}
    (folder / "events.jsonl").write_text(json.dumps(event))
    ended = call(
        capfd,
        *("replay", write(folder / "dns.pcap", frames), "--format", "json"),
        *("--subscribers", str(folder / "book.toml")),
        *("--events", str(folder / "events.jsonl")),
    )
    assert ended.status == 0, ended.err
    document: dict[str, Any] = json.loads(ended.out)
    assert document["totals"]["dropped_bytes"] == 0
    assert document["totals"]["inner_bytes"] == len(frames) * SIZE
    return document


def groups(document: dict[str, Any]) -> dict[int, int]:
    """Packets up by rating group."""
    (sim,) = document["sims"]
    assert document["totals"]["exempt_bytes"] == sum(g["up_bytes"] for g in sim["rating_groups"])
    return {g["rating_group"]: g["up_packets"] for g in document["rating_groups"]}


def test_the_list_changes_at_its_nanosecond_and_no_packet_is_lost(
    tmp_path: Path, capfd: Capfd
) -> None:
    """X1, X2, X3, R6: the coupon is off, and what is not exempt is slow"""
    times = [*range(0, 1_000 * MS, 50 * MS), CHANGE_NS - 1]
    frames = [question(at_ns, one) for at_ns in sorted(times) for one in (OLD, NEW)]
    document = bill(capfd, tmp_path, frames)
    before = sum(at_ns < CHANGE_NS for at_ns in times)
    assert (before, len(times)) == (11, 21)
    assert groups(document) == {10: before, 77: len(times) - before}
    assert document["totals"]["slow_bytes"] == len(times) * SIZE
    names = {group["rating_group"]: group["name"] for group in document["rating_groups"]}
    assert names == {10: "dns", 77: "other"}


@pytest.mark.parametrize(
    ("first_ns", "resolver", "exempt"),
    [
        (CHANGE_NS - 1, OLD, {10: 2}),
        (CHANGE_NS - 1, NEW, {}),
        (CHANGE_NS, NEW, {77: 2}),
        (CHANGE_NS, OLD, {}),
    ],
)
def test_a_later_fragment_inherits_what_its_first_got_under_the_list_of_its_time(
    tmp_path: Path, capfd: Capfd, first_ns: int, resolver: str, exempt: dict[int, int]
) -> None:
    """X4, B37"""
    first = question(first_ns, resolver, 0x2000)
    later = question(CHANGE_NS + MS, resolver, 10)
    assert groups(bill(capfd, tmp_path, [first, later])) == exempt


def test_the_new_lists_cap_holds_from_then_on(tmp_path: Path, capfd: Capfd) -> None:
    """X3, B41x: three packets fit, the fourth would go above"""
    frames = [question(CHANGE_NS + k * MS, NEW) for k in range(10)]
    document = bill(capfd, tmp_path, frames, cap=4 * SIZE - 1)
    assert groups(document) == {77: 3}
    assert document["totals"]["slow_bytes"] == 7 * SIZE


def test_a_list_that_is_wrong_ends_the_replay_before_it_begins(
    tmp_path: Path, capfd: Capfd
) -> None:
    """B79: exit 3, the event's line and the list's"""
    events = tmp_path / "events.jsonl"
    events.write_text('\n{"at_ns": 1, "do": "exempt", "file": "x.toml"}\n')
    (tmp_path / "x.toml").write_text(LIST.format(cap=-1))
    capture = write(tmp_path / "dns.pcap", [question(0, OLD)])
    ended = call(capfd, "replay", capture, "--ue-net", "10.1.0.0/16", "--events", str(events))
    assert (ended.status, ended.out) == (3, "")
    assert ended.err.startswith(
        f"pktoll: {events}:2:38: [0].file: {tmp_path}/x.toml:5:21: "
        "exempt.rating_group[0].cap_bytes_per_day: -1 is not allowed"
    )
    assert ended.err.count("\n") == 1
