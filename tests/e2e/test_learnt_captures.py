"""Sessions in the shared captures: followed as their `.gtpc.tsv` has them, billed as the truth has it."""

import csv
import functools
import ipaddress
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.replay import Options, run
from engine.wire.capture import Capture
from tests.support.gtpc_twin import Told, Tunnel, sessions_of

Document = dict[str, Any]


def captures(shared: Path) -> list[Path]:
    """All that have a reading of their control messages."""
    found = sorted((shared / "captures").rglob("*.gtpc.tsv"))
    assert found, "no capture with control messages is there"
    return [Path(str(path).removesuffix(".gtpc.tsv")) for path in found]


def tunnels_of_truth(capture: Path) -> dict[Tunnel, tuple[int, int]]:
    """G-PDUs and inner bytes by TEID and receiver."""
    with Path(f"{capture}.truth.tsv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines, delimiter="\t") if row["scope"] == "tunnel"]
    return {
        (int(row["teid"], 0), row["outer_dst"]): (
            int(row["gpdu_packets"]),
            int(row["sum_inner_ip_total_length"]),
        )
        for row in rows
    }


def replayed(capture: Path, **options: Any) -> Document:
    report = run(Options(captures=(str(capture),), **options))
    assert report.faults == []
    return report.document


replayed_once = functools.cache(replayed)
"""for tests that only read"""


def reading(told: Told) -> tuple[Any, ...]:
    """What both ways of reading must agree upon."""
    addresses = [
        str(ipaddress.ip_network((one, 64), strict=False)) if ":" in one else one
        for one in told.addresses
    ]
    return told.imsi, told.msisdn or None, told.apn, addresses, told.closed is None, told.tunnels


def following(session: Document) -> tuple[Any, ...]:
    """The same of a session in a report; the twin knows no IPv6 ends of tunnels."""
    tunnels = {(t["teid"], t["receiver"]) for t in session["tunnels"] if ":" not in t["receiver"]}
    ended = session["closed_ns"] is None
    named = session["imsi"], session["msisdn"], session["apn"]
    return *named, session["addresses"], ended, tunnels


def test_every_capture_is_followed_to_the_sessions_of_its_messages(shared: Path) -> None:
    """N6: IMSI, MSISDN, APN, addresses, tunnels, and whether it was closed"""
    followed = 0
    for capture in captures(shared):
        told = sessions_of(Path(f"{capture}.gtpc.tsv"))
        sessions = replayed_once(capture)["sessions"]
        assert [following(s) for s in sessions] == [reading(t) for t in told], capture.name
        followed += len(sessions)
    assert followed == 20


def test_sessions_open_and_close_at_their_answers(shared: Path) -> None:
    """in a capture whose time never goes back"""
    capture = shared / "captures/gtp/magma__nsa_connection.pcap"
    (told,) = sessions_of(Path(f"{capture}.gtpc.tsv"))
    (session,) = replayed(capture)["sessions"]
    times = (told.opened, told.closed or "")
    assert [session["opened_ns"], session["closed_ns"]] == [
        int(time.replace(".", "")) for time in times
    ]
    assert (session["close_cause"], session["version"], session["rat_type"]) == (
        "deleted",
        2,
        "EUTRAN",
    )


def test_tunnels_carry_what_the_truth_says_whoever_is_billed(shared: Path) -> None:
    """N6: those of sessions that are billed in another tunnel, too"""
    for capture in captures(shared):
        truth = tunnels_of_truth(capture)
        found = {
            (t["teid"], t["destination"]): (t["packets"], t["inner_bytes"])
            for t in replayed_once(capture)["tunnels"]
        }
        assert found == truth, capture.name


def test_every_sim_is_billed_what_its_own_tunnels_carry(shared: Path) -> None:
    """N6, N7: at S5/S8 or Gn, and nothing of it twice"""
    compared = 0
    for capture in captures(shared):
        truth = tunnels_of_truth(capture)
        told = sessions_of(Path(f"{capture}.gtpc.tsv"))
        sims = {sim["imsi"]: sim for sim in replayed_once(capture)["sims"]}
        for imsi in {one.imsi for one in told}:
            billed = set().union(*(one.billed for one in told if one.imsi == imsi))
            counts = [truth.get(tunnel, (0, 0)) for tunnel in billed]
            ways = sims[imsi]["up"], sims[imsi]["down"]
            packets = sum(way["packets"] for way in ways)
            size = sum(way["inner_bytes"] for way in ways)
            assert (packets, size) == tuple(map(sum, zip(*counts, strict=True))), capture.name
            compared += packets
    assert compared == 10 + 10 + 49 + 49 + 10 + 11 + 345 + 577 + 6


def test_nobody_else_is_billed_for_a_sessions_packets(shared: Path) -> None:
    """N6: neither its address nor a server that is in a private network becomes a SIM"""
    for name in ("magma__inbound_roaming_01_210505_130828-1.pcapng", "open5gs__srsenb.pcapng"):
        document = replayed(shared / "captures/gtp" / name)
        assert [sim["imsi"] for sim in document["sims"]] == [document["sessions"][0]["imsi"]]


def test_a_replay_may_take_no_notice_of_sessions(shared: Path) -> None:
    """the same capture by its addresses, both legs of its way"""
    capture = shared / "captures/gtp/open5gs__srsenb.pcapng"
    ignored = replayed(capture, sessions="ignore")
    assert ignored["sessions"] == []
    assert [(sim["imsi"], sim["address"]) for sim in ignored["sims"]] == [(None, "10.45.0.2")]
    learnt = replayed(capture)
    assert ignored["totals"]["packets"] == 2 * learnt["totals"]["packets"] == 1_844
    assert ignored["tunnels"] == learnt["tunnels"]
    both = {document["capture"]["packets"] for document in (ignored, learnt)}
    assert len(both) == 1


@pytest.mark.parametrize(("rows_max", "block_bytes"), [(1, 2_000), (7, 10_000), (64, 1 << 18)])
def test_batches_do_not_matter(
    rows_max: int, block_bytes: int, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G8"""
    capture = shared / "captures/gtp/open5gs__testattach.pcapng"
    whole = replayed(capture)
    small = functools.partial(Capture, rows_max=rows_max, block_bytes=block_bytes)
    monkeypatch.setattr(sys.modules["engine.replay.setup"], "Capture", small)
    cut = replayed(capture)
    for document in (whole, cut):
        del document["timing"]
    assert cut == whole
