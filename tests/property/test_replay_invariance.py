"""One capture, one bill: however it is read, cut into files, batched or sharded."""

import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine.jit import DISABLED
from engine.replay import Options, run
from engine.runtime import Engine
from engine.runtime.report import BYTE_CLASSES
from engine.wire.capture import Capture
from engine.words import CONTROL_BYTES
from tests.support import packets
from tests.support.command import MS, call, frame, write

Document = dict[str, Any]
SCHEMA = json.loads(files("engine.replay").joinpath("replay.schema.json").read_text())

BOOK = """
[[contract]]
code = "hdd00000001"
plan = "family-share"
started = 2013-10-01
  [[contract.coupon]]
  kind = "bundle"
  bytes = 30_000
  expires = "2013-12"
  [[contract.line]]
  code = "hdo00000001"
  addresses = ["10.1.0.1"]
  teid_up = 1
  teid_down = 2
  gateway = "192.168.1.2"
  [[contract.line]]
  code = "hdo00000002"
  addresses = ["10.1.0.2"]
  balance_bytes = 20_000
[[contract]]
code = "hdd00000002"
plan = "minimum-start"
started = 2013-10-01
  [[contract.line]]
  code = "hdo00000003"
  addresses = ["10.1.0.3"]
  teid_up = 5
  teid_down = 6
"""
EVENTS = """
{"at_ns": %d, "do": "switch", "line": "hdo00000002", "on": false}
{"at_ns": %d, "do": "charge", "contract": "hdd00000002", "coupons": 1}
{"at_ns": %d, "do": "suspend", "line": "hdo00000001"}
{"at_ns": %d, "do": "resume", "line": "hdo00000001"}
{"at_ns": %d, "do": "charge", "contract": "hdd00000002", "coupons": 30}
"""


def story() -> list[packets.Frame]:
    """Some 180 frames, each at a time of its own: every class, drops, strangers, broken headers."""
    found: list[packets.Frame] = []
    for k in range(45):
        at_ns = 4 * k * MS + k * k
        up = {"teid": 1, "src": "10.1.0.1"} if k % 2 else {"teid": 5, "src": "10.1.0.3"}
        found.append(frame(at_ns, size=1_400, **up))
        far = {"dst": "10.1.0.1"} if k % 3 else {"dst": "10.1.0.3"}
        found.append(
            frame(at_ns + MS, size=900 + k, teid=2 if k % 3 else 6, src="203.0.113.7", **far)
        )
        found.append(frame(at_ns + 2 * MS, size=1_200, teid=77 + k % 4, src="10.1.0.2"))
        found.append(ODD[k % len(ODD)](at_ns + 3 * MS))
    return found


def _raw(at_ns: int, data: bytes) -> packets.Frame:
    return packets.TIME_NS + at_ns, packets.ethernet(packets.tunnel(data))


WEB = packets.ipv4(packets.tcp(), src="10.1.0.3", dst="192.0.2.80", protocol=6)
ODD = (
    lambda at_ns: frame(at_ns, teid=9, src="172.31.0.9"),
    lambda at_ns: _raw(at_ns, packets.gtp(packets.ipv4(src="10.1.0.9"), teid=1)),
    lambda at_ns: _raw(at_ns, packets.gtp(packets.ipv4(), teid=1, flags=0x48)),
    lambda at_ns: _raw(at_ns, packets.gtp(teid=0, kind=1, flags=0x32, optional=bytes(4))),
    lambda at_ns: _raw(at_ns, packets.gtp(WEB, teid=5)),
    lambda at_ns: frame(at_ns, teid=78, size=40_000, src="10.1.0.2"),
    lambda at_ns: (packets.TIME_NS + at_ns, bytes(30)),
)
STORY = story()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("replay")
    (made / "lines.toml").write_text(BOOK)
    times = [packets.TIME_NS + ms * MS + 17 for ms in (60, 100, 90, 120, 30)]
    (made / "events.jsonl").write_text(EVENTS % tuple(times))
    write(made / "whole.pcap", STORY)
    return made


def bill(
    folder: Path, *names: str, workers: int = 1, piece_bytes: int | None = None, **capture: int
) -> Document:
    """The document of a replay, without what may differ: how long it took, and the names of files.

    `piece_bytes`: cut a single capture into pieces of that size, though it is short.
    """
    options = Options(
        captures=tuple(str(folder / name) for name in names),
        subscribers=str(folder / "lines.toml"),
        events=str(folder / "events.jsonl"),
        workers=workers,
    )
    opened: list[str] = []

    def small(path: str, *arguments: Any, **fields: Any) -> Capture:
        opened.append(path)
        return Capture(path, *arguments, **fields, **capture)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["engine.replay.setup"], "Capture", small)
        if piece_bytes is not None:
            patch.setattr("engine.wire.capture.PIECE_BYTES", piece_bytes)
            patch.setattr("engine.wire.pieces.PIECE_BYTES", piece_bytes)
            patch.setattr("engine.replay.pieces.FIRST_BYTES", piece_bytes)
        report = run(options)
    assert sorted(opened) == sorted(options.captures)  # or the sizes would have been nobody's
    assert report.faults == []
    assert len([n for n in report.warnings if n.startswith("refused: charge")]) == 1
    document = report.document
    jsonschema.validate(document, SCHEMA)
    del document["timing"], document["capture"]["files"]
    return document


@pytest.fixture(scope="module")
def whole(folder: Path) -> Document:
    return bill(folder, "whole.pcap")


def test_the_story_has_something_of_everything(whole: Document) -> None:
    """I6: charged, slow, exempt, free, dropped for many reasons; and it adds up"""
    totals = whole["totals"]
    assert all(totals[name] > 0 for name in (*BYTE_CLASSES, "not_user_traffic_packets", "grants"))
    assert {"teid", "spoof", "suspended", "queue", "version"} <= set(whole["drops"])
    assert whole["capture"]["packets"] == len(STORY)


def test_every_packet_and_byte_is_somewhere(whole: Document) -> None:
    """I6, I1: per SIM and direction, in total, and in the coupon database"""
    totals = whole["totals"]
    ways = [sim[way] for sim in whole["sims"] for way in ("up", "down")]
    for counters in [*ways, totals]:
        assert counters["inner_bytes"] == sum(counters[name] for name in BYTE_CLASSES)
    assert totals["packets"] + totals["not_user_traffic_packets"] == len(STORY)
    drops = whole["drops"].values()
    assert sum(drop["bytes"] for drop in drops) == totals["dropped_bytes"]
    lost = sum(drop["packets"] for drop in drops) - sum(way["dropped_packets"] for way in ways)
    assert totals["packets"] == sum(way["packets"] for way in ways) + lost
    for name in ("charged_bytes", "slow_bytes", "exempt_bytes", "free_bytes"):
        assert totals[name] == sum(way[name] for way in ways)
    for contract in whole["contracts"]:
        parts = ("in_database_bytes", "granted_bytes", "expired_bytes")
        assert contract["credited_bytes"] == sum(contract[name] for name in parts)
    granted = sum(contract["granted_bytes"] for contract in whole["contracts"])
    assert granted == totals["granted_bytes"] == sum(s["granted_bytes"] for s in whole["sims"])
    balances = sum(sim["balance_bytes"] for sim in whole["sims"])
    assert granted + 20_000 == totals["charged_bytes"] + balances


@example(rows_max=1, block_bytes=16, workers=1, piece=None, cut=90, odd=False, turned=True)
@example(rows_max=7, block_bytes=64, workers=4, piece=2_000, cut=1, odd=True, turned=False)
@given(
    rows_max=st.integers(1, 200),
    block_bytes=st.sampled_from([100, 1_000, 10_000, 1 << 18]),
    workers=st.integers(1, 4),
    piece=st.sampled_from([None, 700, 5_000]),
    cut=st.integers(0, len(STORY)),
    odd=st.booleans(),
    turned=st.booleans(),
)
@settings(
    max_examples=4 if DISABLED else 12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_the_bill_is_always_the_same(
    folder: Path,
    whole: Document,
    rows_max: int,
    block_bytes: int,
    workers: int,
    piece: int | None,
    cut: int,
    odd: bool,
    turned: bool,
) -> None:
    """G8: any batch, any block, 1 to 4 workers, any pieces, a capture in two files, in any order"""
    sizes = {"rows_max": rows_max, "block_bytes": block_bytes}
    assert bill(folder, "whole.pcap", workers=workers, piece_bytes=piece, **sizes) == whole
    parts = (STORY[::2], STORY[1::2]) if odd else (STORY[:cut], STORY[cut:])
    names = ["part-1.pcap", "part-2.pcap"]
    for name, frames in zip(names, parts, strict=True):
        write(folder / name, frames)
    assert bill(folder, *(names[::-1] if turned else names), workers=workers, **sizes) == whole


def test_one_core_bills_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """G8: without a second core nothing is read ahead"""
    ahead = bill(folder, "whole.pcap")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    assert bill(folder, "whole.pcap") == ahead


def test_twice_is_the_same_to_the_byte(folder: Path, whole: Document) -> None:
    """G8: no hash order, no clock"""
    assert json.dumps(bill(folder, "whole.pcap")) == json.dumps(whole)


def test_a_planted_byte_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """I6, G6: exit 6, and no bill"""
    account = Engine.account

    def planted(self: Engine, batch: Any, **options: bool) -> None:
        account(self, batch, **options)
        self.control[CONTROL_BYTES] += 1

    monkeypatch.setattr(Engine, "account", planted)
    ended = call(capfd, "replay", str(folder / "whole.pcap"), "--ue-net", "10.1.0.0/16")
    assert (ended.status, ended.out) == (6, "")
    assert ended.err.startswith("pktoll: counters: ")
    assert ended.err.count("\n") == 1
