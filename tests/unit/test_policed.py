"""limiter = "police" in the engine: a colour for each packet, no queue; slices and states as ever."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from engine.accounting.marker import mark_at
from engine.config import Limit, Police, SlowLimit
from engine.layout import DOWNLINK, UPLINK
from engine.runtime import Engine
from engine.subscribers import Switch
from engine.units import MB
from tests.oracle.marker import GREEN, RED, SingleRate, TwoRates, rfc_clock, whole_period_clock
from tests.support.gateway import (
    DNS,
    MS,
    SERVER,
    T0,
    UE,
    UE_2,
    Rows,
    S,
    book,
    both,
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

EXACT = Police(tokens="exact")
HIGH_BPS = 8_000_000
CBS = {"slow": 1_000, "high": 5_000}
HIGH = Limit(burst_bytes=CBS["high"], queue_bytes=0, queue_ms=0)
UP, DOWN = (UE, SERVER), (SERVER, UE)
QUERY: dict[str, Any] = {"dst": DNS, "ports": (4_000, 53)}


def policed(*lines: Any, coupon_bytes: int = 0, shards: int = 1, **changes: Any) -> Engine:
    made = settings(**{"police": EXACT, "high": HIGH, **changes})
    return gateway(book(*lines, coupon_bytes=coupon_bytes), settings=made, shards=shards)


def up(at_ns: int = T0, length: int = 100, **fields: Any) -> Rows:
    return packet(at_ns, length=length, **fields)


def twin(police: Police, rate_bytes: int, cbs: int) -> SingleRate | TwoRates:
    """The marker of a direction, naively."""
    clock = rfc_clock if police.tokens == "exact" else whole_period_clock
    if police.marker == "rfc2697":
        return SingleRate(clock(rate_bytes), cbs, police.excess_burst_bytes)
    peak = clock(rate_bytes * police.peak_percent // 100)
    return TwoRates(clock(rate_bytes), peak, cbs, police.excess_burst_bytes)


def told(police: Police, rate_bytes: int, cbs: int, batch: Rows) -> list[bool]:
    """Which packets of one direction the twin lets go."""
    marker = twin(police, rate_bytes, cbs)
    most = GREEN if police.yellow == "drop" else RED - 1
    pairs = zip(batch["time_ns"].tolist(), batch["length"].tolist(), strict=True)
    return [marker.colour(at_ns, size) <= most for at_ns, size in pairs]


def traffic(count: int, mean_gap_ns: int, sizes: Sequence[int], seed: int, *where: str) -> Rows:
    """Packets near the rate: bursts, rests, and some at the same time."""
    random = np.random.default_rng(seed)
    gaps = random.integers(0, 2 * mean_gap_ns, count) * random.choice([0, 1, 1, 8], count)
    batch = train(count, 0, *(where or UP))
    batch["time_ns"] += gaps.cumsum()
    batch["length"] = random.choice(np.array(sizes), count)
    return batch


def test_what_is_within_the_burst_goes_at_once_and_the_rest_is_dropped() -> None:
    """P2, P5, RFC 2697: nothing waits, whatever the queue might hold"""
    gate = policed()
    batch = np.concatenate([up(length=size) for size in (600, 400, 1)] + [up(T0 + MS, length=1)])
    verdicts = gate.process(batch)
    assert names(verdicts) == ["slow", "slow", "policed", "slow"]
    assert verdicts["departure_ns"].tolist() == [T0, T0, 0, T0 + MS]
    report = gate.snapshot()
    assert report["drops"] == {"policed": {"packets": 1, "bytes": 1}}
    found = report["sims"][0]["up"]
    assert (found["dropped_packets"], found["dropped_bytes"], found["slow_bytes"]) == (1, 1, 1_001)
    assert (found["delayed_packets"], found["max_delay_ns"]) == (0, 0)


@pytest.mark.parametrize("where", [UP, DOWN])
@pytest.mark.parametrize("state", ["slow", "high"])
@pytest.mark.parametrize("size", [40, 333, 1_000])
def test_with_one_size_it_is_a_plain_token_bucket(
    state: str, size: int, where: tuple[str, str]
) -> None:
    """P1, P2, P5: RFC 2697 without excess burst and with exact tokens, counted here by hand"""
    gate = policed(line(coupon=state == "high"), coupon_bytes=10 * MB)
    rate_bytes = 1_000 if state == "slow" else HIGH_BPS // 8
    batch = traffic(400, size * S // rate_bytes // 4, [size], 3, *where)
    begin = before = int(batch["time_ns"][0])
    tokens, expected = CBS[state], []
    for at_ns in batch["time_ns"].tolist():
        earned = (at_ns - begin) * rate_bytes // S - (before - begin) * rate_bytes // S
        tokens, before = min(CBS[state], tokens + earned), at_ns
        expected.append(tokens >= size)
        tokens -= size * expected[-1]
    kind = "charged" if state == "high" else "slow"
    assert names(gate.process(batch)) == [kind if passes else "policed" for passes in expected]
    assert 0 < expected.count(False) < 400


MARKERS: dict[str, Police] = {
    "rfc2697": EXACT,
    "rfc2697, EBS": Police(excess_burst_bytes=700, tokens="exact"),
    "rfc2697, EBS, yellow passes": Police(excess_burst_bytes=700, yellow="pass"),
    "rfc2697, as rte_meter": Police(excess_burst_bytes=700),
    "rfc2698": Police(marker="rfc2698", excess_burst_bytes=1_200, tokens="exact"),
    "rfc2698, yellow passes": Police(
        marker="rfc2698", peak_percent=150, excess_burst_bytes=1_200, yellow="pass"
    ),
}


@pytest.mark.parametrize("name", MARKERS)
def test_the_engine_drops_what_the_marker_says(name: str) -> None:
    """RFC 2697 3, RFC 2698 3: red always, yellow where it is to be dropped; both directions apart"""
    police = MARKERS[name]
    gate = policed(police=police)
    ways = [
        traffic(150, 400 * MS, [1, 40, 576, 999], seed, *w) for seed, w in enumerate((UP, DOWN))
    ]
    expected = [told(police, 1_000, CBS["slow"], way) for way in ways]
    batch = np.concatenate(ways)
    order = np.argsort(batch["time_ns"], kind="stable")
    found = names(gate.process(batch[order]))
    passes = np.concatenate(expected)[order]
    assert found == ["slow" if good else "policed" for good in passes]
    assert all(0 < way.count(False) < 150 for way in expected)


def test_the_two_algorithms_and_what_yellow_means_are_not_the_same() -> None:
    """A comparison that cannot fail proves nothing"""
    batch = traffic(150, 400 * MS, [1, 40, 576, 999], 0)
    said = {tuple(told(police, 1_000, CBS["slow"], batch)) for police in MARKERS.values()}
    assert len(said) >= 4


# --- slices -------------------------------------------------------------------------------------


def test_a_red_packet_is_not_charged_and_asks_for_no_slice() -> None:
    """N7, D7, D1: neither the rest of the balance nor the next slice"""
    gate = policed(line(balance_bytes=500), coupon_bytes=MB)
    assert play(gate, up(length=5_001)) == ["policed"]
    assert (sim(gate)["grants"], sim(gate)["balance_bytes"]) == (0, 500)
    assert play(gate, up(length=5_000)) == ["charged"]
    assert (sim(gate)["grants"], sim(gate)["balance_bytes"]) == (1, MB - 4_500)


def test_slices_come_with_the_packet_that_needs_them() -> None:
    """D1, D2, D7, P1, P2: the last goes out whole, partly free, and takes its tokens once"""
    gate = policed(coupon_bytes=2_500)
    batch = np.concatenate([up(length=1_000) for _ in range(3)])
    verdicts = gate.process(batch)
    assert names(verdicts) == ["charged"] * 3
    assert verdicts["charged_bytes"].tolist() == [1_000, 1_000, 500]
    assert sim(gate)["up"]["free_bytes"] == 500
    marks = gate.shards.all[0].sides.marks
    side = int(gate.sims.rows[0]["side"])
    assert marks[mark_at(side, 0, UPLINK)]["tokens"].tolist() == [2_000, 0]
    assert play(gate, up(length=1_000), up(length=1)) == ["slow", "policed"]


def test_a_packet_that_waited_for_its_session_and_slices_takes_its_tokens_once() -> None:
    """D1, D7, G8: the kernel stops before it as often as need be"""
    gate = policed(line(balance_bytes=1), coupon_bytes=4_999, first_slice="first-packet")
    assert play(gate, up(length=4_990), up(length=10), up(length=1)) == ["charged"] * 2 + [
        "policed"
    ]
    assert sim(gate)["balance_bytes"] == 0


# --- states -------------------------------------------------------------------------------------


def test_a_switch_changes_both_directions_at_once_and_nothing_waits() -> None:
    """P3, P5: what was saved at high speed is cut at the new burst, in the silent direction too"""
    gate = policed(coupon_bytes=MB)
    assert play(gate, up(length=100)) == ["charged"]
    gate.switch_coupon("a", on=False, at_ns=T0 + S)
    batch = [up(T0 + S, 1_000), up(T0 + S, 1), packet(T0 + S, *DOWN, 1_000)]
    batch += [packet(T0 + S, *DOWN, 1)]
    assert play(gate, *batch) == ["slow", "policed"] * 2
    gate.switch_coupon("a", on=True, at_ns=T0 + S + 1)
    batch = [up(T0 + S + 2 * MS, 2_000), up(T0 + S + 2 * MS, 1), up(T0 + 2 * S, 5_000)]
    assert play(gate, *batch) == ["policed", "charged", "charged"]


def test_no_burst_is_gained_by_switching_to_and_fro() -> None:
    """P3, P5: 200 changes in a second carry less than both bursts and a second at high speed"""
    gate = policed(coupon_bytes=10 * MB)
    gate.schedule(Switch(T0 + k * 5 * MS, "a", k % 2 == 0) for k in range(200))
    batch = train(10_000, 100_000, length=200)
    verdicts = gate.process(batch)
    let_out = sum(200 for name in names(verdicts) if name != "policed")
    at_high = HIGH_BPS // 8 // 2
    assert at_high * 9 // 10 < let_out <= CBS["high"] + at_high + 1_000
    assert set(names(verdicts)) == {"charged", "slow", "policed"}


def test_restricted_is_a_state_of_its_own() -> None:
    """R1, R4: 100 byte/s and its own burst"""
    tight = SlowLimit(burst_bytes=200, queue_bytes=0, queue_ms=0, rate_bps=800)
    gate = policed(restriction_bytes=900, restricted=tight)
    batch = [up(length=901), up(length=99), up(T0 + 10 * S, 200), up(T0 + 10 * S, 1)]
    assert play(gate, *batch) == ["slow", "slow", "slow", "policed"]
    assert play(gate, up(T0 + 11 * S, 101), up(T0 + 11 * S, 100)) == ["policed", "slow"]
    assert sim(gate)["regulated"]


def test_a_suspended_sim_takes_no_tokens() -> None:
    """L1, N7"""
    gate = policed()
    gate.suspend("a", at_ns=T0)
    assert play(gate, up(length=1_000)) == ["suspended"]
    gate.resume("a", at_ns=T0)
    assert play(gate, up(length=1_000), up(length=1)) == ["slow", "policed"]


# --- exempt -------------------------------------------------------------------------------------


def test_exempt_packets_have_markers_of_their_own_at_high_speed() -> None:
    """X1, X4: not behind the slow ones, and no way round the gateway; up and down apart"""
    gate = policed()
    assert play(gate, up(length=1_000), up(length=1)) == ["slow", "policed"]
    batch = [up(length=5_000, **QUERY), up(length=1, **QUERY)]
    batch += [packet(T0, DNS, UE, 5_000, ports=(53, 4_000))]
    assert play(gate, *batch, up(T0 + MS, 1_000, **QUERY)) == [
        "exempt",
        "policed",
        "exempt",
        "exempt",
    ]
    found = sim(gate)
    assert (found["up"]["exempt_bytes"], found["up"]["dropped_bytes"]) == (6_000, 2)
    (rated,) = found["rating_groups"]
    assert (rated["up_packets"], rated["up_bytes"], rated["down_bytes"]) == (2, 6_000, 5_000)


@pytest.mark.parametrize("name", MARKERS)
def test_exempt_packets_are_marked_as_all_others(name: str) -> None:
    """X4"""
    police = MARKERS[name]
    gate = policed(police=police)
    batch = traffic(200, 600_000, [40, 576, 1_000], 5, UE, DNS)
    batch["flags"] |= up(**QUERY)["flags"][0]
    batch["dst_port"] = 53
    expected = told(police, HIGH_BPS // 8, CBS["high"], batch)
    assert names(gate.process(batch)) == ["exempt" if good else "policed" for good in expected]
    assert 0 < expected.count(False) < 200


def test_exempt_packets_are_charged_or_count_only_when_they_go() -> None:
    """X3, N7: a red one is neither charged nor counted, and asks for no slice"""
    gate = policed(coupon_bytes=MB, charge=True, first_slice="first-packet")
    assert play(gate, up(length=5_001, **QUERY)) == ["policed"]
    assert sim(gate)["grants"] == 0
    verdicts = gate.process(up(length=5_000, **QUERY))
    assert (names(verdicts), verdicts["charged_bytes"].tolist()) == (["exempt"], [5_000])
    assert (sim(gate)["grants"], both(sim(gate), "exempt_bytes")) == (1, 0)
    assert play(gate, up(length=1, **QUERY)) == ["policed"]
    gate = policed(line(coupon=False), count=True, restriction_bytes=1_000)
    assert play(gate, up(length=5_001, **QUERY)) == ["policed"]
    assert not sim(gate)["regulated"]
    assert play(gate, up(length=1_001, **QUERY)) == ["exempt"]
    assert sim(gate)["regulated"]


# --- the rest -----------------------------------------------------------------------------------


def mixed() -> Rows:
    """Five SIMs whose every third packet is exempt."""
    batch = train(600, 200_000, UE, length=900)
    batch["src_lo"] += np.arange(600) * 7 % 5
    query = up(**QUERY)[0]
    for name in ("dst_lo", "dst_port", "flags"):
        batch[name][::3] = query[name]
    return batch


def run(split: int, shards: int) -> tuple[list[Any], dict[str, Any]]:
    """Verdicts and report of `mixed`."""
    made = settings(police=MARKERS["rfc2697, EBS"], high=HIGH, bundle_bytes=20_000)
    with gateway(ue_nets=("10.1.0.0/16",), shards=shards, settings=made) as gate:
        batch = mixed()
        parts = [gate.process(batch[k : k + split]) for k in range(0, len(batch), split)]
        return np.concatenate(parts).tolist(), gate.snapshot()


@pytest.mark.parametrize(("split", "shards"), [(1, 1), (13, 4), (600, 4)])
def test_batches_and_shards_make_no_difference(split: int, shards: int) -> None:
    """G8: charged, slow and exempt, with slices in between"""
    verdicts, report = run(600, 1)
    assert run(split, shards) == (verdicts, report)
    assert set(report["drops"]) == {"policed"}
    totals = report["totals"]
    kinds = ("charged_bytes", "slow_bytes", "exempt_bytes", "dropped_bytes")
    assert all(totals[kind] > 0 for kind in kinds)


def test_only_a_policer_has_markers() -> None:
    """P4: four rows a SIM that needs them, and they grow with the SIMs"""
    assert len(gateway(book()).shards.all[0].sides.marks) == 1
    with gateway(ue_nets=("10.1.0.0/16",), settings=settings(police=EXACT)) as gate:
        batch = train(1_500, 0, UE, length=40)
        batch["src_lo"] += np.arange(1_500)
        gate.process(batch)
        sides = gate.shards.all[0].sides
        assert len(sides.marks) == 4 * len(sides.shape) >= 4 * 1_500
        again = gate.process(train(1, 0, UE, SERVER, start_ns=T0 + 1, length=40))
        assert names(again) == ["slow"]


def test_a_shaper_waits_where_a_policer_drops() -> None:
    """P4: the same settings but for `limiter`"""
    batch = train(3, 0, length=600)
    shaped = gateway(book(), settings=settings(high=HIGH))
    assert waits(batch, shaped.process(batch)) == [0, 200 * MS, 800 * MS]
    assert names(policed().process(batch)) == ["slow", "policed", "policed"]


def test_each_sim_and_direction_has_its_own_tokens() -> None:
    """P4"""
    gate = policed(line(), line(2))
    batch = [up(length=1_000), up(length=1_000, src=UE_2), packet(T0, *DOWN, 1_000)]
    assert play(gate, *batch, up(length=1)) == ["slow"] * 3 + ["policed"]
    side = int(gate.sims.rows[1]["side"])
    marks = gate.shards.all[0].sides.marks
    assert marks[mark_at(side, 0, UPLINK)]["tokens"][0] == 0
    assert marks[mark_at(side, 0, DOWNLINK)]["rate"] > 0
