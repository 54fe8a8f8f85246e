"""The machine's clock and time zone decide nothing: a bill is the same wherever and whenever it is made."""

import json
import struct
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine import clock
from engine.units import NS_PER_S
from tests.support.command import call, environment, spawn

ZONES = ("UTC", "JST-9", "UTC+11:45", "EST5EDT,M3.2.0,M11.1.0")
"""in the notation that needs no files of zones: west of Greenwich is positive"""
HOUR_NS = 3_600 * NS_PER_S
DECEMBER_NS = 1_385_823_600 * NS_PER_S
"""2013-12-01 00:00 JST, in the midst of the capture"""


@pytest.fixture
def story(project: Path) -> list[str]:
    """A replay over a month's end, at which a coupon expires and another is credited."""
    folder = project / "tests" / "golden" / "month-end"
    lines = str(folder / "subscribers.toml")
    return ["replay", str(folder / "capture.pcap"), "--subscribers", lines, "-q"]


def bill(text: str) -> dict[str, Any]:
    """The report without how long it took."""
    document: dict[str, Any] = json.loads(text)
    del document["timing"]
    return document


def months_passed(document: dict[str, Any]) -> bool:
    """Whether the capture's own month came to an end on the way."""
    return all(contract["expired_bytes"] > 0 for contract in document["contracts"])


def test_the_time_zone_of_the_machine_changes_nothing(story: list[str]) -> None:
    """U2, G8: to the byte, in processes of their own"""
    said = []
    for zone in ZONES:
        ended = spawn(*story, "--format", "csv", env=environment(TZ=zone))
        assert (ended.status, ended.err) == (0, "")
        said.append(ended.out)
    assert len(set(said)) == 1
    assert said[0].count("\n") == 4


@pytest.mark.parametrize("first_ns", [0, (1 << 31) * NS_PER_S, DECEMBER_NS - 1, 10**18])
@pytest.mark.parametrize("step_ns", [1, 40 * 24 * HOUR_NS])
def test_the_clock_of_the_machine_changes_nothing(
    story: list[str],
    first_ns: int,
    step_ns: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """U2, G8, G9, F12: in 1970, in 2038, at the month's end, and with a month between two looks at it"""
    expected = bill(call(capfd, *story, "--format", "json").out)
    monkeypatch.setattr(clock, "time", machine_time(count(first_ns, step_ns)))
    found = call(capfd, *story, "--format", "json")
    assert (found.status, found.err) == (0, "")
    assert bill(found.out) == expected
    assert months_passed(expected)


def machine_time(ticks: Iterator[int]) -> SimpleNamespace:
    """In the place of the standard library's `time`, of which `engine.clock` alone reads clocks."""

    def tick_ns(*_: object) -> int:
        return next(ticks)

    names = ("time_ns", "perf_counter_ns", "monotonic_ns", "clock_gettime_ns")
    return SimpleNamespace(CLOCK_MONOTONIC=1, CLOCK_BOOTTIME=7, **dict.fromkeys(names, tick_ns))


def test_the_packets_own_time_decides_the_month(
    story: list[str], project: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """U2: with stamps of an hour earlier the same capture sees no month's end; and it is Japan's month,
    which ends at 15:00 UTC"""
    data = bytearray(Path(story[1]).read_bytes())
    order = "<" if bytes(data[:4]) in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    at = 24
    while at < len(data):
        seconds, _, held = struct.unpack_from(order + "III", data, at)
        struct.pack_into(order + "I", data, at, seconds - 3_600)
        at += 16 + held
    earlier = tmp_path / "earlier.pcap"
    earlier.write_bytes(data)
    moved = bill(call(capfd, story[0], str(earlier), *story[2:], "--format", "json").out)
    there = bill(call(capfd, *story, "--format", "json").out)
    assert (months_passed(moved), months_passed(there)) == (False, True)
    first, last = there["capture"]["first_ns"], there["capture"]["last_ns"]
    assert first < DECEMBER_NS <= last
    assert (first // HOUR_NS % 24, last // HOUR_NS % 24) == (14, 15)
