"""What `pktoll pool` says after a replay is what the replay did, to the byte, after a restart too."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine import calendar
from engine.units import MB
from tests.support.command import MS, frame, write
from tests.support.desk import CONTRACT, LINE, SECOND, Run, Shown, commands
from tests.support.packets import TIME_NS

AT = ("--at", str(TIME_NS + 10**9))
BOOK = """
[[contract]]
code = "hdd00000001"
plan = "family-share"
started = 2013-10-01
  [[contract.coupon]]
  kind = "bundle"
  bytes = 3_500
  expires = "2013-12"
  [[contract.line]]
  code = "hdo00000001"
  imsi = "440100000000001"
  addresses = ["10.1.0.1"]
  [[contract.line]]
  code = "hdo00000002"
  imsi = "440100000000002"
  addresses = ["10.1.0.2"]
  balance_bytes = 700
"""
EVENTS = [
    {"at_ns": TIME_NS + 20 * MS, "do": "switch", "line": SECOND, "on": False},
    {"at_ns": TIME_NS + 25 * MS, "do": "charge", "contract": CONTRACT, "coupons": 2},
]


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command on the database of the test."""
    return commands(f"sqlite:///{tmp_path / 'coupons.db'}", capfd, monkeypatch)


def replay(folder: Path, run: Run, first_ms: int, events: list[dict[str, Any]]) -> dict[str, Any]:
    """Thirty packets of each of two SIMs, from `first_ms` on; the report."""
    frames = [
        frame((first_ms + k) * MS, size=200 + 50 * sim, src=f"10.1.0.{sim}")
        for k in range(30)
        for sim in (1, 2)
    ]
    capture = write(folder / f"{first_ms}.pcap", frames)
    (folder / "book.toml").write_text(BOOK)
    (folder / "events.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in events))
    files = ("--subscribers", str(folder / "book.toml"), "--events", str(folder / "events.jsonl"))
    pool = f"sqlite:///{folder / 'coupons.db'}"
    done = run("replay", capture, *files, "--pool", pool, "--format", "json", "-q")
    assert (done.status, done.err) == (0, "")
    report: dict[str, Any] = json.loads(done.out)
    return report


def sum_of(reports: list[dict[str, Any]], number: int, *fields: str) -> int:
    """Bytes of a SIM, both directions, over all reports."""
    return sum(
        report["sims"][number][way][field]
        for report in reports
        for way in ("up", "down")
        for field in fields
    )


def test_balance_history_and_usage_match_what_a_replay_did(
    tmp_path: Path, run: Run, shown: Shown
) -> None:
    """Q1, Q2, Q3, Q4, I8, D9"""
    reports = [replay(tmp_path, run, 0, EVENTS)]
    for restarted in (False, True):
        if restarted:
            reports.append(replay(tmp_path, run, 100, []))
        last = reports[-1]
        (contract,) = shown("pool", "balance", *AT)["contracts"]
        for name in ("in_database_bytes", "granted_bytes", "expired_bytes", "credited_bytes"):
            assert contract[name] == last["contracts"][0][name]
        assert contract["credited_bytes"] == 3_500 + 200 * MB
        assert len(contract["sims"]) == 2
        usage = shown("pool", "usage", *AT)
        for number, sim in enumerate(contract["sims"]):
            told = last["sims"][number]
            assert sim["exact_balance_bytes"] == told["balance_bytes"]
            assert sim["coupon"] is told["coupon"]
            assert sim["in_service"] is told["in_service"]
            assert (sim["regulated"], sim["uncertain_bytes"]) == (told["regulated"], 0)
            charged = sum_of(reports, number, "charged_bytes")
            assert sim["used_bytes"] == charged
            today = usage["sims"][number]["days"][-1]
            assert today["day"] == "2013-11-05"
            assert today["with_coupon_bytes"] == charged
            assert today["without_coupon_bytes"] == sum_of(reports, number, "slow_bytes")
            assert today["exempt_bytes"] == sum_of(reports, number, "exempt_bytes")
        (purchase,) = shown("pool", "history", CONTRACT, *AT)["purchases"]
        assert (purchase["coupons"], purchase["bought_ns"]) == (2, TIME_NS + 25 * MS)
        month = calendar.month_of(TIME_NS)
        assert purchase["expires_ns"] == calendar.topup_expires_ns(month)
        assert run("pool", "audit").status == 0
    (first, second) = contract["sims"]
    assert (first["line"], second["line"], second["coupon"]) == (LINE, SECOND, False)
