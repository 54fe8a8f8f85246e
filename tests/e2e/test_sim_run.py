"""`pktoll sim` against `pktoll serve`: 200 SIMs from attach to detach, in one scripted run."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Ended, call

SCENARIO = Path(__file__).parents[1] / "support" / "two-hundred.toml"


@pytest.fixture(scope="module")
def told() -> list[dict[str, Any]]:
    """The report of the one run of this module, once it is made."""
    return []


def run(
    told: list[dict[str, Any]], capfd: pytest.CaptureFixture[str], monkeypatch: Any
) -> dict[str, Any]:
    """The report; the gateway is a process of its own, with compiled kernels in every mode of the tests."""
    if not told:
        monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
        ended: Ended = call(capfd, "sim", str(SCENARIO), "--format", "json")
        assert ended.err == ""
        told.append(json.loads(ended.out) | {"status": ended.status})
    return told[0]


def by_name(report: dict[str, Any]) -> dict[str, Any]:
    return {check["name"]: check for check in report["checks"]}


def test_a_whole_life_of_200_sims_passes_every_check(
    told: list[dict[str, Any]], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """N1-N7, L1, L2, P1-P5, D7, X1, C3, I1, I6: the counts on both sides are equal, the audit is clean."""
    report = run(told, capfd, monkeypatch)
    assert {check["name"]: check["faults"] for check in report["checks"] if check["faults"]} == {}
    assert {check["status"] for check in report["checks"]} == {"pass"}
    assert (report["result"], report["status"], report["schema"]) == ("pass", 0, "pktoll.sim/1")


def test_every_step_of_the_script_was_carried_out(
    told: list[dict[str, Any]], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """L1, L2, N6"""
    checks = by_name(run(told, capfd, monkeypatch))
    sessions, operator = checks["sessions"]["figures"], checks["operator"]["figures"]
    assert sessions["attach_accepted"] == 220
    assert sessions["attach_refused"] == 25
    assert sessions["move_accepted"] == 40
    assert sessions["detach_accepted"] == 195
    done = {
        name: operator[f"{name}_done"]
        for name in ("charge", "suspend", "resume", "replace", "switch")
    }
    assert done == {"charge": 40, "suspend": 20, "resume": 20, "replace": 5, "switch": 10}


def test_slow_sims_were_shaped_and_what_their_queues_had_no_room_for_was_dropped(
    told: list[dict[str, Any]], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """P2, P4"""
    report = run(told, capfd, monkeypatch)
    overload = next(s for s in report["streams"] if s["sims"] == 10 and s["sent_packets"] == 1000)
    assert (
        600 < overload["arrived_packets"] < 900
    )  # a burst of 15 and a queue of 64 of 100 packets each
    slow = [s for s in report["streams"] if s["expect"] == "slow"]
    assert all(s["wait_ns_max"] > 100_000_000 for s in slow)
    assert all(s["arrived_packets"] == s["sent_packets"] for s in slow)


def test_the_gateway_tells_what_was_left_waiting_when_sessions_ended(
    told: list[dict[str, Any]], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    report = run(told, capfd, monkeypatch)
    last = report["streams"][-1]
    closed = report["gateway"]["hold"]["closed_packets"]
    assert closed > 0
    assert last["arrived_packets"] < last["sent_packets"]
    assert report["audit"]["adds_up"] is True
