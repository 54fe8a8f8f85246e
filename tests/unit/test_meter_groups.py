"""The loop of plain packets, which goes in groups: where these begin and end is nothing to a packet."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from engine import config, verdict, words
from engine.accounting.sims import SideTables
from engine.datapath.meter import AHEAD, GROUP, meter
from engine.datapath.release import release
from engine.layout import (
    SIM,
    SIM_ATTACHED,
    SIM_COUPON_ON,
    SIM_DETACHED,
    SIM_EMPTY,
    SIM_IN_SERVICE,
    SIM_REGULATED,
    VERDICT,
    WORK,
    aligned_zeros,
)
from engine.shaper.markers import mark_table
from engine.shaper.speeds import rate_table

Rows = npt.NDArray[Any]

SIMS = 12
PACKETS = AHEAD + 23 * GROUP + 2
"""more than a group beyond the packets that are asked for ahead, and no whole number of groups"""
ON = SIM_IN_SERVICE | SIM_COUPON_ON | SIM_ATTACHED | SIM_EMPTY
START_NS = 1_800_000_000_000_000_000
NONE, SOME_BYTES, ODD_BYTES, ALL_BYTES = 0, 4_000, 1_500, 1 << 40


class Metered(NamedTuple):
    """All that metering may change."""

    sims: Rows
    sides: tuple[Rows, ...]
    work: Rows
    control: npt.NDArray[np.int64]


def table(rates: Rows) -> Rows:
    """One SIM that is slow, one detached, one that has to wait, some that run out, and the others plain."""
    sims = aligned_zeros(SIMS, SIM)
    sims["flags"], sims["balance_bytes"] = ON, ALL_BYTES
    sims["credit"] = rates["cap_credit"][0]
    sims["last_ns"] = START_NS
    sims["flags"][1] = ON & ~SIM_COUPON_ON
    sims["flags"][2] = ON | SIM_DETACHED
    sims["flags"][3] = ON | SIM_REGULATED
    sims["credit"][4] = 0
    sims["balance_bytes"][5:8] = NONE, SOME_BYTES, ODD_BYTES
    return sims


def packets(seed: int) -> Rows:
    """Packets of all of them, most of the plain ones; some of no bytes, a microsecond between."""
    random = np.random.Generator(np.random.PCG64(seed))
    work = aligned_zeros(PACKETS, WORK)
    work["time_ns"] = START_NS + 1_000 * np.arange(PACKETS)
    plain = random.integers(8, SIMS, PACKETS)
    work["row"] = np.where(
        random.integers(0, 7, PACKETS) == 0, random.integers(0, SIMS, PACKETS), plain
    )
    work["length"] = np.array([0, 64, 1_000, 1_400])[random.integers(0, 4, PACKETS)]
    work["flags"] = random.integers(0, 2, PACKETS)
    work["packet"] = np.arange(PACKETS)
    return work


def metered(work: Rows, batch: int) -> Metered:
    """The packets, in batches of so many."""
    settings = config.load(None)
    rates = rate_table(settings)
    sims, sides = table(rates), SideTables(SIMS + 1).tables
    control = np.zeros(words.CONTROL_WORDS, dtype=np.int64)
    control[words.CONTROL_SIDE_NEXT] = 1
    answers = work.copy()
    for first in range(0, len(work), batch):
        part = answers[first : first + batch]
        control[words.CONTROL_NEXT], control[words.CONTROL_WORK] = 0, len(part)
        meter(sims, sides, (rates, mark_table(settings)), part, control)
        assert control[words.CONTROL_STOP] == words.STOP_END
    control[[words.CONTROL_NEXT, words.CONTROL_WORK]] = 0
    return Metered(sims, sides, answers, control)


def codes(done: Metered) -> Rows:
    """What the packets are told."""
    verdicts = np.zeros(len(done.work), dtype=VERDICT)
    release(done.work, len(done.work), verdicts)
    return verdicts["code"]


@pytest.mark.parametrize("batch", [1, GROUP, AHEAD + GROUP, AHEAD + GROUP + 1])
@pytest.mark.parametrize("seed", range(4))
def test_no_answer_depends_on_where_a_group_or_a_batch_ends(seed: int, batch: int) -> None:
    """D1, D7, P4: one at a time, in the loop of groups, or in that of the rest"""
    work = packets(seed)
    whole, parts = metered(work, PACKETS), metered(work, batch)
    assert (whole.work == parts.work).all()
    assert (whole.sims == parts.sims).all()
    assert (whole.control == parts.control).all()
    for one, other in zip(whole.sides, parts.sides, strict=True):
        assert (one == other).all()


def test_what_is_not_plain_is_answered_amid_what_is() -> None:
    """D5, D7, P1: and a plain packet's work row is left as it came"""
    work = packets(0)
    done = metered(work, PACKETS)
    found = codes(done)
    assert set(found) == {verdict.CHARGED, verdict.SLOW, verdict.DROP_DETACHED}
    plain = work["row"] >= 8
    assert (found[plain] == verdict.CHARGED).all()
    assert (done.work[plain] == work[plain]).all()
    assert (found[work["row"] == 1] == verdict.SLOW).all()
    assert (done.work["time_ns"] > work["time_ns"])[work["row"] == 4].any()
    free = done.sides[0]["free_bytes"].sum()
    charged = int(done.work["length"][found == verdict.CHARGED].sum())
    fast = int(work["length"][found == verdict.CHARGED].sum())
    assert charged + free == fast > charged


def test_a_packet_that_takes_the_last_byte_is_charged_and_the_next_is_not() -> None:
    """D5: one of no bytes needs a balance, too"""
    work = packets(0)[:4]
    work["row"], work["flags"], work["length"] = 6, 0, (0, SOME_BYTES, 0, 1)
    done = metered(work, 4)
    assert codes(done).tolist() == [verdict.CHARGED] * 2 + [verdict.SLOW] * 2
    assert done.sims["balance_bytes"][6] == 0


def test_flags_that_make_no_packet_less_plain_lie_outside_the_byte_that_is_compared() -> None:
    assert (SIM_EMPTY | SIM_REGULATED) & 0xFF == 0
    work = packets(0)
    work["row"] = 3
    done = metered(work, PACKETS)
    assert done.sims["side"][3] == 0
