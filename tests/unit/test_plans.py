"""The plans of the service as its own configuration has them, each played out on an engine."""

import ast
from dataclasses import replace
from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np
import pytest

from engine import config
from engine.errors import ConfigError
from engine.replay import Options, run
from engine.runtime import Engine
from engine.subscribers import Book
from engine.units import GB, MB
from tests.support.command import frame, write
from tests.support.gateway import (
    DEC_1,
    MS,
    SERVER,
    T0,
    UE,
    UE_2,
    UE_3,
    Rows,
    S,
    book,
    gateway,
    line,
    names,
    packet,
    play,
    sim,
    train,
    waits,
)

PLANS = ("minimum-start", "light-start", "family-share")
LONG = 65_535
"""byte; the longest IPv4 packet"""
GAP_NS = 5 * MS
"""from one of them to the next it takes at least 4.66 ms at 112.5 Mbit/s"""


def on_plan(plan: str, lines: int = 1, settings: config.Settings | None = None) -> Engine:
    """A contract on a plan of the default configuration, with these SIMs, since T0."""
    (contract,) = book(*(line(k + 1) for k in range(lines)), coupon_bytes=None).contracts
    subscribers = Book((replace(contract, plan=plan),))
    return gateway(subscribers, settings=settings or config.load(None))


def download(volume_bytes: int, *addresses: str, start_ns: int = T0) -> Rows:
    """Long packets down that need more than a volume in all, to the addresses in turn."""
    count = ceil(Fraction(volume_bytes + 1, LONG))
    batch = train(count, GAP_NS, SERVER, addresses[0], start_ns=start_ns, length=LONG)
    for k, address in enumerate(addresses):
        one = packet(start_ns, SERVER, address)
        batch["dst_lo"][k :: len(addresses)] = one["dst_lo"]
    return batch


def test_minimum_start_is_slow_until_a_coupon_is_bought_and_after_it_is_used_up() -> None:
    """S1, P1, P2, U1: 200 kbit/s; a coupon of 100 MB is 104 857 600 bytes at high speed"""
    with on_plan("minimum-start") as engine:
        batch = train(13, 0, SERVER, UE, length=1_500)
        verdicts = engine.process(batch)
        assert names(verdicts) == ["slow"] * 13
        assert waits(batch, verdicts) == [0] * 10 + [60 * MS, 120 * MS, 180 * MS]
        assert sim(engine)["granted_bytes"] == 0
        engine.charge("hdd1", coupons=1, at_ns=T0 + S)
        batch = download(100 * MB, UE, start_ns=T0 + S)
        verdicts = engine.process(batch)
        assert names(verdicts) == ["charged"] * len(batch)
        assert max(waits(batch, verdicts)) < GAP_NS  # at 200 kbit/s it would be 2.6 s
        assert int(verdicts["charged_bytes"].sum()) == 104_857_600
        after_ns = int(batch["time_ns"][-1]) + 1
        assert play(engine, packet(after_ns, SERVER, UE)) == ["slow"]
        assert (sim(engine)["grants"], sim(engine)["balance_bytes"]) == (10, 0)


@pytest.mark.parametrize(
    ("plan", "month_bytes"), [("minimum-start", 0), ("light-start", GB), ("family-share", GB)]
)
def test_a_month_brings_the_plan_s_bundle(plan: str, month_bytes: int) -> None:
    """S1, S2, S3, C1, U1: nothing, or 1 073 741 824 bytes a contract, however many SIMs it has"""
    with on_plan(plan, config.load(None).plan(plan).sims_max) as engine:
        engine.process(packet(T0))
        assert engine.snapshot()["contracts"][0]["credited_bytes"] == month_bytes
        engine.process(np.concatenate([packet(DEC_1 - 1), packet(DEC_1)]))
        assert engine.snapshot()["contracts"][0]["credited_bytes"] == 2 * month_bytes
    with gateway(_since_october(plan), settings=config.load(None)) as engine:
        assert engine.snapshot()["contracts"][0]["credited_bytes"] == 2 * month_bytes


def _since_october(plan: str) -> Book:
    (contract,) = book(coupon_bytes=None).contracts
    begun = contract.started.replace(month=10, day=1)
    return Book((replace(contract, plan=plan, started=begun),))


def test_family_share_is_one_bundle_for_three_sims() -> None:
    """S3, D5, U1: together they are served 1 GB, each in slices of its own, and then all are slow"""
    with on_plan("family-share", 3) as engine:
        batch = download(GB, UE, UE_2, UE_3)
        verdicts = engine.process(batch)
        charged = [int(verdicts["charged_bytes"][k::3].sum()) for k in range(3)]
        assert sum(charged) == 1_073_741_824 - sum(
            sim(engine, k)["balance_bytes"] for k in range(3)
        )
        assert min(charged) > 300 * MB
        (contract,) = engine.snapshot()["contracts"]
        assert (contract["credited_bytes"], contract["granted_bytes"]) == (GB, GB)
        last_ns = int(batch["time_ns"][-1])
        engine.process(download(30 * MB, UE, UE_2, UE_3, start_ns=last_ns))
        late = [packet(last_ns + 60 * S, SERVER, address) for address in (UE, UE_2, UE_3)]
        assert play(engine, *late) == ["slow"] * 3
        assert engine.snapshot()["totals"]["charged_bytes"] == 1_073_741_824


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize(
    ("ends", "bps", "count"), [((UE, SERVER), 37_500_000, 40), ((SERVER, UE), 112_500_000, 80)]
)
def test_high_speed_is_that_of_the_plan_in_each_direction(
    plan: str, ends: tuple[str, str], bps: int, count: int
) -> None:
    """S4, P5, U1, U4: to the nanosecond, decimal megabits; the burst goes out at once"""
    with on_plan(plan) as engine:
        engine.charge("hdd1", coupons=1, at_ns=T0)
        batch = train(count, 0, *ends, length=50_000)
        verdicts = engine.process(batch)
        beyond = [max(0, 50_000 * (k + 1) - 1_500_000) for k in range(count)]
        expected = [ceil(Fraction(8 * late * S, bps)) for late in beyond]
        assert waits(batch, verdicts) == expected
        assert names(verdicts) == ["charged"] * count


def test_high_speed_is_a_sim_s_own() -> None:
    """S4: one SIM's queue is none of another's, nor uplink downlink's"""
    with on_plan("family-share", 3) as engine:
        crowd = train(40, 0, SERVER, UE, length=50_000)
        assert max(waits(crowd, engine.process(crowd))) > 0
        others = [packet(T0, SERVER, UE_2, 50_000), packet(T0, UE_3), packet(T0, UE)]
        assert engine.process(np.concatenate(others))["departure_ns"].tolist() == [T0] * 3


GIGA = """
default_plan = "giga-3"
[[plan]]
name = "giga-3"
title = "3 GB"
sims_max = 2
bundle_bytes = 3_221_225_472
high_down_bps = 150_000_000
high_up_bps = 50_000_000
restriction_bytes = 0
[[plan]]
name = "giga-10"
title = "10 GB for ten"
sims_max = 10
bundle_bytes = 10_737_418_240
high_down_bps = 1_000_000_000
high_up_bps = 100_000_000
restriction_bytes = 0
"""


def subscriber_file(folder: Path, plan: str, lines: int) -> str:
    """A contract of that plan with so many SIMs, begun in the month of the captures."""
    text = f'[[contract]]\ncode = "hdd00000001"\nplan = "{plan}"\nstarted = 2013-11-01\n'
    for k in range(1, lines + 1):
        text += f'[[contract.line]]\ncode = "hdo{k:08}"\naddresses = ["10.1.0.{k}"]\n'
    path = folder / f"{plan}-{lines}.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(("plan", "sims", "bundle_bytes"), [("giga-3", 2, 3), ("giga-10", 10, 10)])
def test_a_newer_plan_is_a_few_lines_in_a_file(
    tmp_path: Path, plan: str, sims: int, bundle_bytes: int
) -> None:
    """S5: its SIMs, bundle and speeds are in force, and one SIM more is refused"""
    (tmp_path / "own.toml").write_text(GIGA)
    capture = write(
        tmp_path / "some.pcap", [frame(k * MS, src=f"10.1.0.{k}") for k in range(1, sims + 1)]
    )
    options = Options(
        (capture,),
        config=str(tmp_path / "own.toml"),
        subscribers=subscriber_file(tmp_path, plan, sims),
    )
    document = run(options).document
    (contract,) = document["contracts"]
    assert (contract["plan"], contract["credited_bytes"]) == (plan, bundle_bytes * GB)
    assert [sim["up"]["charged_bytes"] for sim in document["sims"]] == [100] * sims
    with pytest.raises(ConfigError, match=rf"{sims + 1} .*{plan}|{plan}.* {sims}\b"):
        run(replace(options, subscribers=subscriber_file(tmp_path, plan, sims + 1)))


def test_the_speed_of_a_newer_plan_is_its_own(tmp_path: Path) -> None:
    """S5, S4"""
    (tmp_path / "own.toml").write_text(GIGA)
    with on_plan("giga-3", settings=config.load(tmp_path / "own.toml")) as engine:
        batch = train(31, 0, SERVER, UE, length=50_000)
        assert waits(batch, engine.process(batch))[-1] == ceil(Fraction(400_000 * S, 150_000_000))


def test_an_unknown_plan_is_refused(tmp_path: Path) -> None:
    """S5: a plan is what the configuration says it is, and nothing else"""
    capture = write(tmp_path / "some.pcap", [frame()])
    options = Options((capture,), subscribers=subscriber_file(tmp_path, "giga-3", 1))
    with pytest.raises(ConfigError, match="giga-3"):
        run(options)


def plan_names_in(folder: Path) -> list[str]:
    """Places of the program's own text that name a plan of the service, without docstrings."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [
            f"{path.name}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and node.value in PLANS
        ]
    return found


def test_no_plan_is_named_in_the_program(project: Path, tmp_path: Path) -> None:
    """S5: and one that were would be found"""
    assert plan_names_in(project / "engine") == []
    (tmp_path / "planted.py").write_text('HIGH = plan.name == "light-start"\n')
    assert plan_names_in(tmp_path) == ["planted.py:1"]
    assert [plan.name for plan in config.load(None).plans] == list(PLANS)
