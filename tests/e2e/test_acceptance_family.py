"""Three SIMs of one Family Share contract: 1 GB credited, 999 MB of it used, so 25 MB in the database.

A capture of 28 Mbit/s a SIM, of which the headers are kept: 20 000-byte packets while the slices last,
packets of 1 000 bytes after the last byte.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import config, subscribers, verdict
from engine.pool.store import open_store
from engine.replay import Options, run
from engine.runtime import Engine
from engine.units import MB
from engine.wire import MODE_GTP
from engine.wire.addresses import parse_address
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints
from tests.support import packets

LEFT_BYTES = 25 * MB
SLICES = (10 * MB, 10 * MB, 5 * MB)
BIG, SMALL = 20_000, 1_000
GAP_NS = 5_700_000
ROUNDS = 800
SLOW_BPS, BURST_BYTES = 200_000, 15_000
NS = 10**9

BOOK = f"""
[[contract]]
code = "hdd00000001"
plan = "family-share"
started = 2013-10-01
  [[contract.coupon]]
  kind = "bundle"
  bytes = {LEFT_BYTES}
  expires = "2013-12"
""" + "".join(
    f"""
  [[contract.line]]
  code = "hdo0000000{n}"
  imsi = "44010000000000{n}"
  addresses = ["10.1.0.{n}"]
  teid_up = {n}
  teid_down = {n + 100}
"""
    for n in (1, 2, 3)
)
OFF_NS = packets.TIME_NS + NS
SWITCH_OFF = {"at_ns": OFF_NS, "do": "switch", "line": "hdo00000002", "on": False}


def big_packets(sim: int) -> int:
    """Packets that it takes to use up a SIM's slice: the last one partly free."""
    return -(-SLICES[sim] // BIG)


def downlink(sim: int, size: int, at_ns: int) -> packets.Frame:
    """A G-PDU to a SIM of which the capture holds the headers."""
    inner = packets.ipv4(
        packets.udp(length=size - 20), packets.SERVER, f"10.1.0.{sim + 1}", total=size
    )
    message = packets.gtp(inner, teid=sim + 101, length=size)
    datagram = packets.udp(message, 2152, 2152, length=size + 16)
    outer = packets.ipv4(datagram, packets.PGW, packets.SGW, total=size + 36)
    return at_ns, packets.ethernet(outer), size + 50


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("family")
    frames = [
        downlink(sim, BIG if k < big_packets(sim) else SMALL, packets.TIME_NS + k * GAP_NS + sim)
        for k in range(ROUNDS)
        for sim in range(3)
    ]
    (made / "family.pcap").write_bytes(packets.pcap(frames, magic=0xA1B23C4D))
    (made / "lines.toml").write_text(BOOK)
    (made / "events.jsonl").write_text(json.dumps(SWITCH_OFF))
    return made


def bill(folder: Path, **changes: Any) -> dict[str, Any]:
    options = Options((str(folder / "family.pcap"),), subscribers=str(folder / "lines.toml"))
    report = run(Options(**{name: getattr(options, name) for name in options.__slots__} | changes))
    assert report.exit_status == 0
    assert report.document["capture"]["packets"] == 3 * ROUNDS
    return report.document


@pytest.fixture(scope="module")
def document(folder: Path) -> dict[str, Any]:
    return bill(folder)


def test_the_slices_are_ten_ten_and_five(document: dict[str, Any]) -> None:
    """D1, D2, D5, S3"""
    sims = document["sims"]
    assert tuple(sim["granted_bytes"] for sim in sims) == SLICES
    assert [sim["grants"] for sim in sims] == [1, 1, 1]
    assert [sim["balance_bytes"] for sim in sims] == [0, 0, 0]
    (contract,) = document["contracts"]
    assert (contract["credited_bytes"], contract["in_database_bytes"]) == (LEFT_BYTES, 0)
    assert contract["granted_bytes"] == LEFT_BYTES


def test_the_totals_add_up(document: dict[str, Any]) -> None:
    """D7, I1, I6: every byte that was sold was used, and one packet a SIM was partly free"""
    for sim, sold in zip(document["sims"], SLICES, strict=True):
        down = sim["down"]
        assert down["charged_bytes"] == sold
        assert down["free_bytes"] == -sold % BIG
        assert down["packets"] == ROUNDS
        small = (ROUNDS - big_packets(SLICES.index(sold))) * SMALL
        assert down["slow_bytes"] + down["dropped_bytes"] == small
        assert sim["up"]["packets"] == 0
    totals = document["totals"]
    assert totals["charged_bytes"] == totals["granted_bytes"] == LEFT_BYTES
    names = ("charged_bytes", "slow_bytes", "free_bytes", "dropped_bytes", "exempt_bytes")
    assert totals["inner_bytes"] == sum(totals[name] for name in names)


def test_a_switch_of_one_sim_leaves_the_others_untouched(
    folder: Path, document: dict[str, Any]
) -> None:
    """P3, D4: to the byte; what is on the SIM stays there"""
    found = bill(folder, events=str(folder / "events.jsonl"))
    for number in (0, 2):
        assert json.dumps(found["sims"][number]) == json.dumps(document["sims"][number])
    assert found["contracts"] == document["contracts"]
    second = found["sims"][1]
    assert not second["coupon"]
    rounds = -(-(NS - 1) // GAP_NS)
    assert second["down"]["charged_bytes"] == rounds * BIG
    assert second["balance_bytes"] == SLICES[1] - rounds * BIG
    assert second["down"]["slow_bytes"] > 0


def verdicts(folder: Path) -> dict[int, list[tuple[int, int, int, int]]]:
    """(arrival, size, code, departure) of every packet, by SIM, from the engine itself."""
    settings = config.load(None)
    endpoints = Endpoints()
    found: dict[int, list[tuple[int, int, int, int]]] = {0: [], 1: [], 2: []}
    first = parse_address("10.1.0.1")[1]
    with Engine(settings, open_store(None), endpoints=endpoints) as engine:
        engine.load(subscribers.load(str(folder / "lines.toml"), settings), packets.TIME_NS)
        for batch in Capture(str(folder / "family.pcap"), endpoints, MODE_GTP, rows_max=500):
            told = engine.process(batch)
            columns = (batch["time_ns"], batch["length"], told["code"], told["departure_ns"])
            rows = np.stack([column.astype(np.int64) for column in columns], axis=1).tolist()
            for lo, row in zip(batch["dst_lo"].tolist(), rows, strict=True):
                found[lo - first].append(tuple(row))
    return found


def test_high_speed_while_they_last_and_200_kbit_s_after_the_last_byte(folder: Path) -> None:
    """P1, P2, P4, P5, D7: in no window more than burst + rate x window; nothing else is lost"""
    for sim, rows in verdicts(folder).items():
        count = big_packets(sim)
        assert {row[2] for row in rows[:count]} == {verdict.CHARGED}
        assert all(arrival == departure for arrival, _, _, departure in rows[:count])
        assert {row[2] for row in rows[count:]} == {verdict.SLOW, verdict.DROP_QUEUE}
        out = [
            (departure, size) for _, size, code, departure in rows[count:] if code == verdict.SLOW
        ]
        assert out == sorted(out)
        for begin, (begin_ns, _) in enumerate(out):
            carried = 0
            for end_ns, size in out[begin:]:
                carried += size
                assert carried * 8 * NS <= BURST_BYTES * 8 * NS + SLOW_BPS * (end_ns - begin_ns + 1)
        # and with a queue that stands, no less than the rate either
        steady = [departure for departure, _ in out[BURST_BYTES // SMALL :]]
        assert steady[-1] - steady[0] <= (len(steady) - 1) * SMALL * 8 * NS // SLOW_BPS + 1
