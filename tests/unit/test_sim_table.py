"""The report of a live run on terminals of two widths."""

import io
from typing import Any

import pytest
from rich.console import Console

from engine.cli.sim_table import show

STREAM = {
    "step": 3,
    "direction": "up",
    "server": "news",
    "expect": "slow",
    "sims": 1_234,
    "packet_bytes": 1_400,
    "sent_packets": 5_678,
    "arrived_packets": 4_321,
    "wait_ns_p50": 250_000,
    "wait_ns_p99": 2_500_000,
    "wait_ns_max": 1_234_567_890,
}
FIGURES = {
    "sent_bytes": 20_480,
    "window_excess_bytes": -3,
    "late_ns_max": 1_500_000,
    "sums": {"a": 1},
}


def shown(width: int, **check: Any) -> str:
    checks = [
        {"name": "order", "rules": "P3", "status": "pass", "faults": [], "more_faults": 0}
        | {"figures": FIGURES}
        | check
    ]
    document = {"streams": [STREAM], "checks": checks, "result": "fail", "title": "made up"}
    console = Console(file=io.StringIO(), width=width)
    show(document | {"sims": 1_234, "length_ns": 20 * 10**9}, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(("width", "told"), [(140, True), (80, False)])
def test_a_narrow_terminal_is_spared_what_the_scenario_says(width: int, told: bool) -> None:
    said = shown(width)
    assert ("1,400" in said or " 1400 " in said) == told
    for figure in ("5,678", "4,321", "0.25", "2.50", "1,234.57"):
        assert figure in said


def test_figures_are_made_easy_to_read_and_sums_of_sums_left_out() -> None:
    said = " ".join(shown(140).split())
    assert (
        "sent 20.00 kB, window excess -3 B, late max 1.50 ms made up: 1,234 SIMs, 20 s: fail"
        in said
    )


def test_faults_are_written_below_with_how_many_more_there_are() -> None:
    said = shown(140, faults=["[x] is wrong"], more_faults=7)
    assert "order: [x] is wrong" in said
    assert "order: and 7 more" in said
