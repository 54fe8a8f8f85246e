"""Another exempt list while packets flow: at its time, without losing a packet or a counter (X2)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import replay
from engine.config import Endpoint, Exempt, RatingGroup
from engine.errors import ConfigError
from engine.layout import WORK_GROUPS_MAX
from engine.runtime import Engine
from engine.subscribers import ReloadExempt, Switch
from tests.support.gateway import (
    DNS,
    MS,
    SERVER,
    T0,
    UE,
    UE_2,
    Rows,
    book,
    gateway,
    line,
    names,
    packet,
    play,
    settings,
    sim,
    train,
    waits,
)
from tests.support.packets import ethernet, ipv4, pcap, udp

WEB = "192.0.2.80"
WEB_ONLY = Exempt((Endpoint("web", (f"{WEB}/32",)),))
BOTH = Exempt((Endpoint("dns", (f"{DNS}/32",)), Endpoint("web", (f"{WEB}/32",))))
NOTHING = Exempt(())


def grouped(*groups: tuple[int, int], charge: bool = False, count: bool = False) -> Exempt:
    """DNS in the first rating group (number, cap a day), web in the second, if there is one."""
    endpoints = [
        Endpoint(host, (f"{host}/32",), rating_group=number)
        for host, (number, _) in zip((DNS, WEB), groups, strict=False)
    ]
    made = tuple(RatingGroup(number, f"group {number}", cap) for number, cap in groups)
    return Exempt(tuple(endpoints), charge, count, made)


def engine(exempt: Exempt = NOTHING, **options: Any) -> Engine:
    gate = gateway(book(line(coupon=False), line(2, coupon=False)), **options)
    gate.set_exempt(exempt, at_ns=T0)
    return gate


def to(dst: str, at_ns: int = T0, length: int = 100, src: str = UE) -> Rows:
    return packet(at_ns, src, dst, length)


def rated(report: dict[str, Any]) -> dict[int, int]:
    """Bytes up by rating group's number."""
    return {group["rating_group"]: group["up_bytes"] for group in report["rating_groups"]}


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("split", [1, 3, 8])
def test_a_list_holds_from_its_time_on_to_the_nanosecond(split: int, shards: int) -> None:
    """X2, G8: in mid-batch, before the first packet at or after it"""
    gate = engine(NOTHING, shards=shards)
    gate.schedule([ReloadExempt(T0 + 5, "none", NOTHING), ReloadExempt(T0 + 2, "web", WEB_ONLY)])
    batch = train(8, 1, UE, WEB, length=10)
    found = [name for k in range(0, 8, split) for name in names(gate.process(batch[k : k + split]))]
    assert found == ["slow"] * 2 + ["exempt"] * 3 + ["slow"] * 3
    assert gate.refusals == []
    gate.close()


def test_a_call_holds_from_now_on() -> None:
    """X2"""
    gate = engine()
    assert play(gate, to(WEB)) == ["slow"]
    gate.set_exempt(WEB_ONLY, at_ns=T0 + 1)
    assert gate.now_ns == T0 + 1
    assert play(gate, to(WEB), to(DNS)) == ["exempt", "slow"]
    gate.set_exempt(BOTH, at_ns=T0)
    assert (gate.now_ns, play(gate, to(WEB), to(DNS))) == (T0 + 1, ["exempt"] * 2)


def test_events_of_one_time_are_in_the_order_given() -> None:
    """G8: other events at the same time too"""
    gate = engine()
    events = [ReloadExempt(T0 + 1, "web", WEB_ONLY), ReloadExempt(T0 + 1, "none", NOTHING)]
    gate.schedule([*events, Switch(T0 + 1, "a", True), ReloadExempt(T0 + 1, "both", BOTH)])
    assert play(gate, to(WEB), to(WEB, T0 + 1), to(DNS, T0 + 1)) == ["slow", "exempt", "exempt"]


@pytest.mark.parametrize("shards", [1, 4])
def test_no_packet_is_lost_and_every_counter_stays(shards: int) -> None:
    """X2, I6: a new list every few packets, none of which is dropped or counted twice"""
    gate = engine(shards=shards)
    lists = [NOTHING, WEB_ONLY, BOTH, grouped((10, 0), (20, 0))]
    gate.schedule(ReloadExempt(T0 + k * 7 + 3, str(k), lists[k % len(lists)]) for k in range(60))
    batch = np.concatenate([to(dst, src=src) for dst in (WEB, DNS) for src in (UE, UE_2)] * 100)
    batch["time_ns"] += np.arange(400)
    batch["length"] = 4
    verdicts = gate.process(batch)
    assert set(names(verdicts)) == {"exempt", "slow"}
    report = gate.snapshot()
    assert report["drops"] == {}
    totals = report["totals"]
    assert (totals["packets"], totals["inner_bytes"]) == (400, 1_600)
    exempt = names(verdicts).count("exempt")
    assert (totals["exempt_bytes"], totals["slow_bytes"]) == (4 * exempt, 4 * (400 - exempt))
    assert sum(rated(report).values()) == 4 * exempt
    assert set(rated(report)) == {0, 10, 20}
    gate.close()


def test_what_is_queued_leaves_when_it_was_to_leave() -> None:
    """X2, P3, P4: neither bucket is filled or emptied by another list"""
    found = []
    for lists in ([], [BOTH] * 5):
        gate = engine(BOTH)
        gate.schedule(ReloadExempt(T0 + k, "", new) for k, new in enumerate(lists))
        slow = train(4, 1, UE, SERVER, length=900)
        quick = train(30, 1, UE, DNS, length=5_000)
        batch = np.concatenate([slow, quick])
        batch = batch[np.argsort(batch["time_ns"], kind="stable")]
        found.append(waits(batch, gate.process(batch)))
    assert found[0] == found[1]
    assert max(found[0]) > MS


def test_group_numbers_keep_their_meaning_whatever_their_order() -> None:
    """X3: what was counted for a number stays counted for it"""
    gate = engine(grouped((10, 0), (20, 0)))
    play(gate, to(DNS), to(WEB, length=7))
    gate.set_exempt(grouped((20, 0), (30, 0)), at_ns=T0)
    play(gate, to(DNS), to(WEB, length=9))
    gate.set_exempt(grouped((30, 0), (10, 0)), at_ns=T0)
    play(gate, to(DNS, length=1), to(WEB, length=2))
    assert rated(sim(gate)) == {10: 102, 20: 107, 30: 10} == rated(gate.snapshot())
    renamed = (RatingGroup(10, "resolvers"), RatingGroup(20, "relays"))
    gate.set_exempt(Exempt((), rating_groups=renamed), at_ns=T0)
    totals = gate.snapshot()["rating_groups"]
    assert [group["name"] for group in totals] == ["resolvers", "relays", "group 30"]


def test_a_cap_is_what_the_newest_list_says() -> None:
    """B41x: what a SIM had of it on that day stays, whatever the cap was then"""
    gate = engine(grouped((10, 250)))
    assert play(gate, *[to(DNS)] * 3) == ["exempt", "exempt", "slow"]
    gate.set_exempt(grouped((10, 300)), at_ns=T0)
    assert play(gate, *[to(DNS)] * 2) == ["exempt", "slow"]
    gate.set_exempt(grouped((10, 1)), at_ns=T0)
    assert play(gate, to(DNS, length=1)) == ["slow"]
    gate.set_exempt(grouped((10, 0)), at_ns=T0)
    assert play(gate, to(DNS), to(DNS)) == ["exempt"] * 2
    gate.set_exempt(grouped((10, 599)), at_ns=T0)
    assert play(gate, to(DNS)) == ["slow"]


def test_what_exempt_means_is_what_the_newest_list_says() -> None:
    """X3: charge and count"""
    gate = gateway(book(line(balance_bytes=1_000)), settings=settings(restriction_bytes=500))
    gate.set_exempt(BOTH, at_ns=T0)
    play(gate, to(DNS))
    gate.set_exempt(grouped((10, 0), charge=True), at_ns=T0)
    play(gate, to(DNS))
    gate.set_exempt(grouped((10, 0), count=True), at_ns=T0)
    gate.switch_coupon("a", on=False, at_ns=T0)
    play(gate, to(DNS, length=501))
    found = sim(gate)
    assert (found["balance_bytes"], found["regulated"]) == (900, True)
    assert rated(found) == {0: 100, 10: 601}


BAD: dict[str, Exempt] = {
    "half of the Internet": Exempt(
        (Endpoint("all", ("8000::/1",)), Endpoint("web", (f"{WEB}/32",))),
        True,
        True,
        (RatingGroup(10, "renamed", 1), RatingGroup(99, "new")),
    ),
    "a group that is not there": Exempt((Endpoint("dns", (f"{DNS}/32",), rating_group=7),)),
    "a group of an earlier list": Exempt((Endpoint("dns", (f"{DNS}/32",), rating_group=10),)),
    "too many groups": Exempt(
        (), rating_groups=tuple(RatingGroup(k + 100, str(k)) for k in range(WORK_GROUPS_MAX))
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_list_changes_nothing(name: str) -> None:
    """B79: it is refused as a whole, by call and by event, and the run goes on"""
    gate = engine(grouped((10, 250)))
    play(gate, to(DNS))
    before = gate.snapshot()
    with pytest.raises(ConfigError):
        gate.set_exempt(BAD[name], at_ns=T0)
    assert gate.snapshot() == before
    gate.schedule([ReloadExempt(T0 + 1, "bad.toml", BAD[name])])
    assert play(gate, to(DNS, T0 + 1), to(DNS, T0 + 1), to(WEB, T0 + 1)) == [
        "exempt",
        "slow",
        "slow",
    ]
    assert len(gate.refusals) == 1
    assert gate.refusals[0].startswith(f"exempt at {T0 + 1} ns: exempt")


def test_more_groups_than_there_is_room_for_are_refused_before_they_overflow() -> None:
    """B79: over all lists, as numbers keep their meaning; the last that fits is counted right"""
    gate = engine()
    half = WORK_GROUPS_MAX // 2
    for start in (1, half + 1):
        numbers = range(start, min(start + half, WORK_GROUPS_MAX))
        groups = tuple(RatingGroup(number, str(number)) for number in numbers)
        end = Endpoint("dns", (f"{DNS}/32",), rating_group=groups[-1].id)
        gate.set_exempt(Exempt((end,), rating_groups=groups), at_ns=T0)
    assert play(gate, to(DNS)) == ["exempt"]
    assert rated(sim(gate)) == {WORK_GROUPS_MAX - 1: 100}
    with pytest.raises(ConfigError, match="more than 8191 different rating groups"):
        gate.set_exempt(grouped((1 << 32 - 1, 0)), at_ns=T0)
    gate.set_exempt(grouped((1, 0)), at_ns=T0)
    assert play(gate, to(DNS)) == ["exempt"]


def test_an_event_file_of_a_replay_names_the_list(tmp_path: Path) -> None:
    """X2: from raw bytes, by the file's path beside the events'"""
    query = ethernet(ipv4(udp(bytes(60), dst=53), dst="198.51.100.99"))
    stamps = [T0 + k for k in range(4)]
    (tmp_path / "a.pcap").write_bytes(pcap([(at, query) for at in stamps], magic=0xA1B23C4D))
    (tmp_path / "list.toml").write_text(
        '[exempt]\n[[exempt.endpoint]]\nname = "new"\nprefixes = ["198.51.100.99/32"]\n'
        'protocol = "udp"\nports = [53]\nrating_group = 0\n'
    )
    event = {"at_ns": T0 + 2, "do": "exempt", "file": "list.toml"}
    (tmp_path / "events.jsonl").write_text(json.dumps(event) + "\n")
    report = replay.run(
        replay.Options(
            captures=(str(tmp_path / "a.pcap"),),
            events=str(tmp_path / "events.jsonl"),
            ue_nets=("10.1.0.0/16",),
        )
    )
    assert (report.exit_status, report.faults) == (0, [])
    totals = report.document["totals"]
    assert (totals["exempt_bytes"], totals["inner_bytes"]) == (2 * 88, 4 * 88)
