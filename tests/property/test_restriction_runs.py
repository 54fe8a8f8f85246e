"""Ten days of traffic in one run or in many: the same restriction, and that of a sum over all packets."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.pool.store import StoreOptions, open_store
from engine.runtime.windows import Windows
from tests.support.gateway import DAY, NOV_5, UE, UE_2, S
from tests.support.restriction import LIMIT, SIZE, rules, sent, started

LINES = (UE, UE_2)
GO_ON, CLOSE, CRASH, MOVE = "go on", "close", "crash", "move"


class Sent(NamedTuple):
    """A packet of line number `line`, and what the gateway does after it."""

    at_ns: int
    line: int
    dns: bool
    then: str


@st.composite
def traffic(draw: st.DrawFn) -> list[Sent]:
    """Packets of two lines over ten days, some at the ends of days to the nanosecond."""
    edges = st.builds(lambda day, ns: NOV_5 + day * DAY + ns, st.integers(0, 9), st.integers(0, 1))
    anywhen = st.integers(0, 10 * 86_400).map(lambda s: NOV_5 + s * S)
    times = draw(st.lists(st.one_of(anywhen, edges.map(lambda t: t - 1)), min_size=1, max_size=40))
    apart: list[int] = []
    for t in sorted(times):  # nobody waits for the packet before
        apart.append(t if not apart or t >= apart[-1] + S else apart[-1] + S)
    thens = st.sampled_from([GO_ON, GO_ON, CLOSE, CRASH, MOVE])
    return [Sent(t, draw(st.integers(0, 1)), draw(st.booleans()), draw(thens)) for t in apart]


def summed(packets: list[Sent], effective: str, count: bool) -> list[str]:
    """R1, R3 as they are written: by the list of all that was carried before."""
    found = []
    for number, packet in enumerate(packets):
        today = (packet.at_ns - NOV_5) // DAY
        newest = today - (effective == "next-day")
        carried = sum(
            SIZE
            for other in packets[:number]
            if other.line == packet.line
            and (count or not other.dns)
            and newest - 2 <= (other.at_ns - NOV_5) // DAY <= newest
        )
        slow = "restricted" if carried > LIMIT else "slow"
        found.append("exempt" if packet.dns else slow)
    return found


def played(packets: list[Sent], effective: str, count: bool, shards: int, cut: bool) -> list[str]:
    """What becomes of them at one gateway, or at two with restarts, crashes and moves where they say so."""
    made = rules(effective, count=count)
    found: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'a.db'}"
        name = "one"
        engine = started(url, packets[0].at_ns, made, name=name, shards=shards)
        engine.usage.every_ns = 0
        for packet in packets:
            found += sent(engine, packet.at_ns, ue=LINES[packet.line], dns=packet.dns)
            if cut and packet.then != GO_ON:
                engine.close(clean=packet.then != CRASH)
                name = "two" if packet.then == MOVE else name
                engine = started(url, packet.at_ns, made, name=name, shards=shards)
                engine.usage.every_ns = 0
        engine.close()
        store = open_store(url, StoreOptions(gateway=None))
        told = sum(d.restricting_bytes for code in "ab" for d in store.usage(code, 0))
        assert told == SIZE * sum(count or not packet.dns for packet in packets)
        store.close()
    return found


BUSY = [Sent(NOV_5 + n * S, 0, False, CLOSE) for n in range(6)]


@settings(max_examples=max(5, settings.default.max_examples // 6))
@example(packets=BUSY, effective="immediate", count=False, shards=1)
@example(packets=BUSY, effective="immediate", count=False, shards=4)
@example(
    packets=[Sent(NOV_5 + n * DAY, 1, n % 2 == 0, CRASH) for n in range(9)],
    effective="next-day",
    count=True,
    shards=1,
)
@given(
    packets=traffic(),
    effective=st.sampled_from(["immediate", "next-day"]),
    count=st.booleans(),
    shards=st.sampled_from([1, 4]),
)
def test_runs_are_as_one_run(packets: list[Sent], effective: str, count: bool, shards: int) -> None:
    """R1, R3, R6, X3, I8, G8: packet by packet; told once however often the gateway begins anew"""
    expected = summed(packets, effective, count)
    assert played(packets, effective, count, shards, cut=False) == expected
    assert played(packets, effective, count, shards, cut=True) == expected


def test_a_gateway_that_forgets_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: nothing is taken in"""
    monkeypatch.setattr(Windows, "take_in", lambda *_: None)
    assert played(BUSY, "immediate", False, 1, cut=True) == ["slow"] * 6
    assert summed(BUSY, "immediate", False) == ["slow"] * 4 + ["restricted"] * 2
