"""Shards of one engine: any number of them, in threads or not, gives the same verdicts and figures."""

from typing import Any

import numpy as np
import pytest

from engine.errors import UsageError
from engine.layout import PACKET
from engine.runtime import Engine, shards
from engine.wire.addresses import parse_address

T0 = 1_383_602_400 * 10**9
SERVER = parse_address("203.0.113.7")


def traffic(count: int) -> Any:
    """Packets of 40 SIMs, up and down, and now and then from one SIM to another."""
    packets = np.zeros(count, dtype=PACKET)
    packets["time_ns"] = T0 + 1000 * np.arange(count)
    packets["length"] = 40 + np.arange(count) * 7 % 1400
    packets["protocol"] = 17
    for k, row in enumerate(packets):
        sim = parse_address(f"10.1.0.{k * 11 % 40 + 1}")
        other = parse_address(f"10.1.0.{k % 40 + 1}") if k % 9 == 0 else SERVER
        source, target = (sim, other) if k % 3 else (other, sim)
        row["src_hi"], row["src_lo"] = source
        row["dst_hi"], row["dst_lo"] = target
        row["endpoint"] = -1
    return packets


def watched(packets: Any, count: int) -> tuple[Any, list[Any], dict[str, Any]]:
    """Verdicts, what the watch saw of the work, and the report, with so many shards."""
    seen: list[Any] = []
    with Engine.open(None, None, ue_nets=("10.1.0.0/16",), shards=count) as engine:
        engine.watch = lambda _, work, __: seen.extend(work.tolist())
        verdicts = engine.process(packets)
        return verdicts, seen, engine.snapshot()


@pytest.mark.parametrize("least", [1, 1 << 30])
def test_the_answers_stand_in_packet_order_for_any_number_of_shards(
    least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G8: in threads of their own, and one after the other."""
    monkeypatch.setattr(shards, "TOGETHER_MIN", least)
    packets = traffic(600)
    verdicts, seen, report = watched(packets, 1)
    assert len(seen) > len(packets)  # some have two legs
    for count in (2, 3):
        again, also_seen, also_report = watched(packets, count)
        assert (again == verdicts).all()
        assert also_seen == seen
        assert also_report == report


def test_batches_that_are_not_watched_are_only_released() -> None:
    """G8: the verdicts are the same without the way back."""
    packets = traffic(300)
    verdicts = watched(packets, 1)[0]
    with Engine.open(None, None, ue_nets=("10.1.0.0/16",), shards=4) as engine:
        found = [engine.process(packets[:10]), engine.process(packets[10:])]
        assert (np.concatenate(found) == verdicts).all()


def test_a_fault_in_one_shard_is_raised_when_all_have_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No thread goes on with tables that are being closed."""
    monkeypatch.setattr(shards, "TOGETHER_MIN", 1)
    ended: list[int] = []
    before = shards.Shard.run

    def run(shard: Any, sims: Any, job: Any, work: Any) -> None:
        before(shard, sims, job, work)
        ended.append(len(work))
        if shard is engine.shards.all[1]:
            raise UsageError("planted")

    monkeypatch.setattr(shards.Shard, "run", run)
    with Engine.open(None, None, ue_nets=("10.1.0.0/16",), shards=3) as engine:
        with pytest.raises(UsageError, match="planted"):
            engine.process(traffic(200))
        assert len(ended) == 3
