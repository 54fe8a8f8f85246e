"""Counts on both sides of a live run: right ones pass, every planted difference is found."""

from pathlib import Path
from typing import Any

import pytest

from engine.units import MB
from gateway_sim.live import checks_counts
from gateway_sim.live.figures import FAIL, INCONCLUSIVE, PASS, SKIPPED, Figures
from gateway_sim.live.fleet import CLOSED, SHUT, UNSURE
from gateway_sim.live.verbs import Answered, Asked
from tests.support.simlive import MS, S, Story, counters, script_of, snapshot, traffic

T0 = 1_383_600_000 * S
STEPS = (
    'at_ms = 0\ndo = "charge"',
    traffic(up_bps=8_000, down_bps=8_000, expect="high"),
    traffic(down_bps=8_000, expect="slow"),
    traffic(down_bps=8_000, server="own"),
)
UP, DOWN, SLOW, EXEMPT = range(4)
"""streams of STEPS, 200 bytes a packet"""


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """SIM 0: 3 packets up, 2 down, one of which does not arrive, one slow, one exempt."""
    made = Story(script_of(tmp_path, *STEPS)[1])
    for k in range(3):
        made.through(UP, 0, T0 + k)
    made.through(DOWN, 0, T0 + 3)
    made.send(DOWN, 0, T0 + 4)
    made.through(SLOW, 0, T0 + 5)
    made.through(EXEMPT, 0, T0 + 6)
    return made


def told(**changes: int) -> dict[str, Any]:
    """What the gateway says of it; changes are of the counters down."""
    down = {"packets": 4, "inner_bytes": 800, "charged_bytes": 150, "free_bytes": 50}
    down |= {"slow_bytes": 200, "exempt_bytes": 200, "dropped_packets": 1, "dropped_bytes": 200}
    up = counters(packets=3, inner_bytes=600, charged_bytes=600)
    return snapshot(sim0={"up": up, "down": counters(**(down | changes))})


def figures(story: Story, after: dict[str, Any], **more: Any) -> Figures:
    return story.figures(**({"before": snapshot(), "after": after} | more))


def test_right_counts_pass(story: Story) -> None:
    """I6"""
    found = checks_counts.counts(figures(story, told()))
    assert found.status == PASS
    assert found.figures == {
        "sent_in_sessions_packets": 7,
        "sent_in_sessions_bytes": 1400,
        "arrived_packets": 6,
        "arrived_bytes": 1200,
        "uncertain": 0,
    }
    assert checks_counts.classes(figures(story, told())).status == PASS


@pytest.mark.parametrize(
    "changes",
    [
        {"packets": 5, "dropped_packets": 2},
        {"packets": 3, "dropped_packets": 0},
        {"inner_bytes": 801},
        {"charged_bytes": 151},
        {"slow_bytes": 199},
        {"dropped_packets": 0},
    ],
)
def test_every_difference_is_found(story: Story, changes: dict[str, int]) -> None:
    """I6"""
    assert checks_counts.counts(figures(story, told(**changes))).status == FAIL
    assert checks_counts.counts(figures(story, told(**changes), lost=1)).status == INCONCLUSIVE


def test_what_was_counted_before_the_run_is_taken_off(story: Story) -> None:
    before = told()
    after = told(packets=8, inner_bytes=1600, charged_bytes=300, free_bytes=100)
    after["sims"][0]["down"] |= {"slow_bytes": 400, "exempt_bytes": 400, "dropped_packets": 2}
    after["sims"][0]["up"] = {name: 2 * value for name, value in before["sims"][0]["up"].items()}
    assert checks_counts.counts(figures(story, after, before=before)).status == PASS


def test_a_sim_that_the_gateway_does_not_name_fails(story: Story) -> None:
    after = told()
    del after["sims"][7]
    assert checks_counts.counts(figures(story, after)).faults == [
        "hdo00000008: is not among the gateway's SIMs"
    ]


@pytest.mark.parametrize(("state", "counted"), [(UNSURE, True), (SHUT, True), (CLOSED, False)])
def test_packets_without_a_sure_session_may_or_may_not_be_counted(
    story: Story, state: int, counted: bool
) -> None:
    """A packet without any session must not be counted for the SIM (N7)."""
    story.send(DOWN, 0, T0 + 10, state)
    assert checks_counts.counts(figures(story, told())).status == PASS
    more = told(packets=5, inner_bytes=1000, dropped_packets=2)
    assert (checks_counts.counts(figures(story, more)).status == PASS) == counted


def test_what_waited_when_its_session_ended_was_counted_and_goes_nowhere(story: Story) -> None:
    """But nothing may arrive that was not counted."""
    more = told(slow_bytes=400, dropped_packets=0, dropped_bytes=0)
    ended = [(0, T0 + 100 * MS)]
    assert checks_counts.counts(figures(story, more)).status == FAIL
    assert checks_counts.counts(figures(story, more, closings=ended)).status == PASS
    less = told(slow_bytes=0, dropped_packets=2, dropped_bytes=400)
    assert checks_counts.counts(figures(story, less, closings=ended)).status == FAIL


@pytest.mark.parametrize(
    "changes",
    [
        {"slow_bytes": 0, "charged_bytes": 350},
        {"exempt_bytes": 0, "charged_bytes": 350},
        {"charged_bytes": 0, "slow_bytes": 350},
    ],
)
def test_a_packet_in_the_wrong_class_is_found(story: Story, changes: dict[str, int]) -> None:
    """P1, P2, X3"""
    assert checks_counts.classes(figures(story, told(**changes))).status == FAIL


# --- balances and contracts -------------------------------------------------------------------------


def held(**changes: int) -> dict[str, Any]:
    row: dict[str, Any] = {"grants": 1, "granted_bytes": 10 * MB, "balance_bytes": 10 * MB - 750}
    row |= {"up": counters(charged_bytes=600), "down": counters(charged_bytes=150)}
    return snapshot(sim0=row | changes)


def test_a_balance_that_adds_up_passes(story: Story) -> None:
    """I1"""
    found = checks_counts.balances(figures(story, held()))
    assert found.status == PASS
    assert found.figures == {"slices": 1, "granted_bytes": 10 * MB, "charged_bytes": 750}


@pytest.mark.parametrize(
    "changes",
    [
        {"balance_bytes": 10 * MB - 749},
        {"granted_bytes": 10 * MB + 1, "balance_bytes": 10 * MB - 749},
        {"granted_bytes": 0, "grants": 0, "balance_bytes": -750},
    ],
)
def test_balances_that_cannot_be_are_found(story: Story, changes: dict[str, int]) -> None:
    """D2, I1, I2"""
    assert checks_counts.balances(figures(story, held(**changes))).status == FAIL


def report(**changes: int) -> dict[str, Any]:
    contract = {"code": "hdd00000001", "credited_bytes": 101 * MB, "in_database_bytes": 91 * MB}
    contract |= {"granted_bytes": 10 * MB, "expired_bytes": 0} | changes
    own = {"messages": {"g-pdu": 3}, "up": {"packets": 3}, "down": {"packets": 3}}
    hold = {"packets_max": 1, "late_max_ns": 5, "closed_packets": 0, "no_room_packets": 0}
    return {"contracts": [contract], "gateway": own | {"hold": hold}}


BOUGHT = Answered(Asked(0, "charge", {"contract": "hdd00000001", "coupons": 1}, (0,)), T0, T0, None)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, PASS),
        ({"in_database_bytes": 90 * MB}, FAIL),
        ({"credited_bytes": 1 * MB, "in_database_bytes": -9 * MB}, FAIL),
    ],
)
def test_contracts_hold_what_was_credited_and_bought(
    story: Story, changes: dict[str, int], status: str
) -> None:
    """C3, D9"""
    given = {"report": report(**changes), "initial": {"hdd00000001": MB}, "answers": [BOUGHT]}
    found = checks_counts.contracts(story.figures(**given))
    assert found.status == status
    assert found.figures["bought_bytes"] == 100 * MB


def test_a_bundle_that_the_plan_decides_is_not_guessed(story: Story) -> None:
    given = {"report": report(), "initial": {"hdd00000001": None}}
    assert checks_counts.contracts(story.figures(**given)).status == PASS


# --- the gateway's own figures, and the audit -------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "value", "status"),
    [
        ("up", {"packets": 3}, PASS),
        ("up", {"packets": 2}, FAIL),
        ("down", {"packets": 4}, FAIL),
        ("messages", {}, FAIL),
    ],
)
def test_the_gateways_own_figures_are_compared(
    story: Story, at: str, value: dict[str, int], status: str
) -> None:
    """I6"""
    made = report()
    made["gateway"][at] = value
    assert checks_counts.own_figures(story.figures(report=made)).status == status


def test_packets_that_had_no_room_to_wait_are_found(story: Story) -> None:
    made = report()
    made["gateway"]["hold"]["no_room_packets"] = 2
    assert checks_counts.own_figures(story.figures(report=made)).status == FAIL


@pytest.mark.parametrize(
    ("findings", "uncertain_bytes", "status"),
    [([], 0, PASS), (["slice 1"], 0, FAIL), ([], 7, FAIL)],
)
def test_the_audit_must_find_nothing(
    story: Story, findings: list[str], uncertain_bytes: int, status: str
) -> None:
    """D9, G4, G6"""
    sums = {"coupons": {}, "sims": {"uncertain_bytes": uncertain_bytes}}
    audit = {"findings": findings, "adds_up": not findings, "sums": sums}
    assert checks_counts.ledger(story.figures(audit=audit)).status == status


@pytest.mark.parametrize(
    "check",
    [
        checks_counts.counts,
        checks_counts.classes,
        checks_counts.own_figures,
        checks_counts.balances,
        checks_counts.contracts,
        checks_counts.ledger,
    ],
)
def test_without_figures_of_the_gateway_nothing_is_said(story: Story, check: Any) -> None:
    assert check(story.figures()).status == SKIPPED
