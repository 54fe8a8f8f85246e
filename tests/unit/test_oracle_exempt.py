"""The naive twin's own directed cases of exempt packets: figures worked out by hand from RULES.md."""

from typing import Any

import pytest

from tests.oracle import ExemptList, Fragment, Gateway, Plan, Rate, Settings
from tests.oracle.exempt import FRAGMENT_NS
from tests.unit.test_oracle import HIGH_DOWN, HIGH_UP, MB, PLAN, RESTRICTED, SLOW, T0, family

Fields = dict[str, Any]
S = 10**9
DAY = 86_400 * S
LISTED = ExemptList({0: 0, 10: 250})


def gateway(listed: ExemptList = LISTED, coupon_bytes: int = 0, plan: Plan = PLAN) -> Gateway:
    made = family("a", "b", coupon_bytes=coupon_bytes, plan=plan, exempt=listed)  # type: ignore[arg-type]
    for line in made.lines.values():
        line.coupon_on = coupon_bytes > 0
    return made


def kinds(made: Gateway, *packets: tuple[int, int, Fields]) -> list[str]:
    """Verdicts on exempt packets up of line `a`, of group 10 as long as they say nothing else."""
    found = []
    for at_ns, size_bytes, said in packets:
        fields = {"exempt": True, "group": 10, **said}
        found.append(made.packet(T0 + at_ns, "a", 0, size_bytes, **fields).kind)
    return found


def test_a_cap_is_of_a_sim_a_group_and_a_day() -> None:
    """B41x, X3: the packet that crosses it is not exempt, one that fits is"""
    made = gateway()
    assert kinds(
        made, (0, 200, {}), (1, 51, {}), (2, 50, {}), (3, 1, {}), (4, 900, {"group": 0})
    ) == [
        "exempt",
        "slow",
        "exempt",
        "slow",
        "exempt",
    ]
    assert made.packet(T0 + 5, "b", 1, 250, exempt=True, group=10).kind == "exempt"
    assert kinds(made, (DAY, 250, {}), (DAY, 1, {})) == ["exempt", "slow"]
    assert made.lines["a"].rated == {10: [3, 500, 0, 0], 0: [1, 900, 0, 0]}


def test_a_group_that_is_not_listed_is_not_exempt() -> None:
    """X2"""
    made = gateway()
    assert kinds(made, (0, 10, {"group": 20}), (0, 10, {"exempt": False})) == ["slow"] * 2
    made.event(T0 + 1, "exempt", exempt=ExemptList({20: 0}))
    assert kinds(made, (1, 10, {"group": 20}), (1, 10, {})) == ["exempt", "slow"]


@pytest.mark.parametrize("charge", [False, True])
def test_the_coupon_pays_as_far_as_it_goes(charge: bool) -> None:
    """X3, D7"""
    made = gateway(ExemptList(charge=charge), coupon_bytes=150)
    found = [made.packet(T0, "a", 0, 100, exempt=True) for _ in range(3)]
    assert [verdict.kind for verdict in found] == ["exempt"] * 3
    paid = [100, 50, 0] if charge else [0, 0, 0]
    assert [verdict.charged_bytes for verdict in found] == paid
    assert [verdict.free_bytes for verdict in found] == [0] * 3
    assert made.lines["a"].counters[0].exempt_bytes == 300 - sum(paid)


@pytest.mark.parametrize(
    ("count", "coupon_bytes", "restricted"), [(True, 0, True), (True, MB, False), (False, 0, False)]
)
def test_what_the_slow_state_carries_counts(
    count: bool, coupon_bytes: int, restricted: bool
) -> None:
    """X3, R1"""
    plan = Plan((HIGH_UP, HIGH_DOWN), (SLOW, SLOW), (RESTRICTED, RESTRICTED), 1_000)
    made = gateway(ExemptList(count=count), coupon_bytes, plan)
    made.packet(T0, "a", 0, 1_000, exempt=True)
    assert not made.restricted(made.lines["a"])
    made.packet(T0, "a", 0, 1, exempt=True)
    assert made.restricted(made.lines["a"]) == restricted


def test_fragments_have_what_the_last_first_one_had() -> None:
    """X4, B36, B37"""
    made = gateway(ExemptList({10: 0}))
    first: Fields = {"fragment": Fragment(True, 7)}
    odd: Fields = {"fragment": Fragment(True, 7), "exempt": False}
    later: Fields = {"fragment": Fragment(False, 7)}
    stranger: Fields = {"fragment": Fragment(False, 8)}
    steps = [later, first, later, stranger, odd, later, first, later]
    assert kinds(made, *((k, 10, step) for k, step in enumerate(steps))) == [
        "slow",
        "exempt",
        "exempt",
        "slow",
        "slow",
        "slow",
        "exempt",
        "exempt",
    ]
    assert made.packet(T0 + 9, "b", 0, 10, fragment=Fragment(False, 7)).kind == "slow"
    assert kinds(made, (6 + FRAGMENT_NS, 10, later), (7 + FRAGMENT_NS, 10, later)) == [
        "exempt",
        "slow",
    ]


def test_dropped_exempt_packets_cost_nothing() -> None:
    """N7, X4: no coupon, no cap, no counter"""
    narrow = Rate(8_000, 100, 0, 0)
    listed = ExemptList({10: 250}, charge=True, count=True)
    made = gateway(listed, 1_000, Plan((narrow, narrow), (SLOW, SLOW), (SLOW, SLOW)))
    assert kinds(made, (0, 101, {})) == ["queue"]
    line = made.lines["a"]
    assert (line.rated, line.exempt_bytes_by_day, line.balance_bytes) == ({}, {}, 1_000)
    assert Settings().exempt == ExemptList()
