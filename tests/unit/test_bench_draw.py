"""The packets that benchmarks are made of: drawn alike in Python and in C, and as they are said to be."""

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import draw, metering
from bench.ours_meter import Case, Meter
from bench.rounds import Peer
from engine.errors import PktollError
from engine.layout import WORK
from tests.support.benches import need, program, row

SIMS = 512
COUNT = 4_000
ROUND = 3


def in_c(tmp_path: Path, case: Case, workers: int = 1) -> tuple[list[str], Any]:
    """A round of the counting program: what it answers, and its rows (packets, bytes) at the end."""
    rows = tmp_path / f"rows-{case.choice}-{workers}"
    words = metering.arguments(case, COUNT, [])
    done = subprocess.run(
        [program("meter_count"), *map(str, words), rows],
        input=f"{metering.words(16, ROUND, workers)}\n",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split(), np.fromfile(rows, dtype="<u8").reshape(case.sims, 8)[:, :2]


def in_python(case: Case, workers: int = 1) -> Any:
    """The same of bench.draw."""
    found = np.zeros((case.sims, 2), dtype=np.int64)
    each = case.sims // workers
    for worker in range(workers):
        seed = draw.seed(ROUND, worker)
        sizes = draw.sizes_of(case.sizes)
        state = draw.state(case.choice, each, sizes)
        draw.begin(state, seed, 0)
        work = np.zeros(COUNT, dtype=WORK)
        bounds = draw.bounds_for(case.choice, case.sims)
        draw.fill(work, COUNT, (state, np.array(sizes, dtype=np.int64), bounds))
        np.add.at(found[:, 0], work["row"] + worker * each, 1)
        np.add.at(found[:, 1], work["row"] + worker * each, work["length"])
    return found


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("choice", draw.CHOICES)
def test_both_sides_draw_the_same_packets(tmp_path: Path, choice: str, workers: int) -> None:
    """Packets and bytes of every SIM are equal, on one core and on two"""
    need("meter_count")
    case = Case(SIMS, choice)
    answer, rows = in_c(tmp_path, case, workers)
    wanted = in_python(case, workers)
    assert rows.tolist() == wanted.tolist()
    assert answer[1:] == [str(workers * COUNT), str(wanted[:, 1].sum())]


def test_another_seed_draws_other_packets() -> None:
    """The planted difference: the comparison above would see it"""
    one, other = (draw.drawn("uniform", SIMS, "mix", draw.seed(n), 100) for n in (1, 2))
    assert one["row"].tolist() != other["row"].tolist()


def test_zipf_gives_the_kth_sim_a_share_of_1_over_k() -> None:
    """Of the first five within 6 percent; and the frequent ones are no neighbours"""
    counts = np.bincount(draw.drawn("zipf", SIMS, "mix", draw.seed(1), 40_000)["row"])
    first = np.argsort(counts)[::-1][:5]
    harmonic = sum(1 / k for k in range(1, SIMS + 1))
    shares = [counts[sim] * harmonic * k / 40_000 for k, sim in enumerate(first, 1)]
    assert shares == pytest.approx([1] * 5, rel=0.06)
    assert min(abs(np.diff(first))) > 1


def test_runs_of_bursty_are_16_packets_long_on_average() -> None:
    rows = draw.drawn("bursty", 1 << 20, "mix", draw.seed(1), 16_000)["row"]
    runs = 1 + int((np.diff(rows) != 0).sum())
    assert 14.5 < len(rows) / runs < 17.5


def test_uniform_leaves_nobody_out_and_prefers_nobody() -> None:
    counts = np.bincount(draw.drawn("uniform", 64, "mix", draw.seed(1), 16_000)["row"])
    assert (len(counts), 190 < counts.min() <= counts.max() < 310) == (64, True)


def test_sizes_are_the_mix_or_one_number() -> None:
    """And the load on all SIMs is the same, whatever they are"""
    assert set(draw.drawn("uniform", 4, "40", 1, 99)["length"].tolist()) == {40}
    mixed = draw.drawn("uniform", 4, "mix", 1, 20_000)["length"]
    assert mixed.mean() == pytest.approx(430, rel=0.03)
    assert [draw.step_ns("uniform", draw.sizes_of(s)) for s in ("40", "mix", "1400")] == [
        9,
        100,
        325,
    ]
    for wrong in ("39", "1401", "large", ""):
        with pytest.raises(ValueError, match="40 to 1400 bytes"):
            draw.sizes_of(wrong)


@pytest.mark.parametrize("choice", draw.CHOICES)
def test_our_kernel_charges_every_packet_of_a_round(choice: str) -> None:
    """On one core and on two, and the same bytes that were drawn"""
    case = Case(SIMS, choice)
    ours = Meter(case, COUNT, [])
    found = ours.round(ROUND, 1)
    assert (found.packets, found.bytes) == (COUNT, in_python(case)[:, 1].sum())
    assert found.ns > 0


def test_two_threads_meter_a_half_of_the_sims_each() -> None:
    import os

    cores = sorted(os.sched_getaffinity(0))
    case = Case(SIMS)
    ours = Meter(case, COUNT, (cores * 2)[:2])
    found = ours.round(ROUND, 2)
    assert (found.packets, found.bytes) == (2 * COUNT, in_python(case, 2)[:, 1].sum())
    assert sorted(os.sched_getaffinity(0)) == cores


def test_a_sim_that_is_not_charged_is_seen() -> None:
    """A planted fault: one SIM's coupon is off, and the round is refused"""
    ours = Meter(Case(SIMS), COUNT, [])
    ours._sims["balance_bytes"][:] = 0
    with pytest.raises(PktollError, match="kernel stopped"):
        ours.round(ROUND, 1)


def test_whoever_meters_other_packets_is_seen() -> None:
    ours = row("pktoll", [3.0], packets=10, bytes=100)
    metering._agree([ours, row("count/16", [1.0], packets=10, bytes=100)])
    with pytest.raises(PktollError, match="count/16 metered other packets than pktoll"):
        metering._agree([ours, row("count/16", [1.0], packets=10, bytes=99)])


def test_a_program_that_cannot_go_on_ends_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    need("meter_count")
    words = (SIMS, COUNT, 100, "-1", "1,2,3,4,5,6,7,8", "/no/such/table")
    with (
        pytest.raises(PktollError, match="meter_count gave no answer"),
        Peer("meter_count", *words) as it,
    ):
        it("16 1")
    assert "no table of ranks" in capfd.readouterr().err
