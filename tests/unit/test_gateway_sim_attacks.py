"""Attacks in bulk: as many as asked, when asked, the same however they are cut."""

import io
from importlib import import_module
from pathlib import Path

import pytest

import gateway_sim
from engine import verdict
from gateway_sim.traffic import attacks, malformed
from gateway_sim.traffic.attacks import Flood
from gateway_sim.traffic.generate import generate
from tests.support import storm


def test_reasons_are_names_of_verdicts() -> None:
    """G7"""
    names = set(verdict.NAMES.values())
    assert {kind.reason for kind in malformed.ALL} <= names
    assert {reason for reason, _ in attacks.BULK.values()} - {attacks.PASSED} <= names


def test_a_flood_counts_what_is_due(tmp_path: Path) -> None:
    scenario = gateway_sim.load(storm.write(tmp_path, kinds=("unknown-teid",)))
    flood = Flood(scenario, 0)
    begin_ns = scenario.attacks[0].begin_ns
    assert flood.count == storm.PACKETS_EACH
    assert (flood.past(begin_ns - 1), flood.past(begin_ns)) == (0, 1)
    for number in (1, 100, storm.PACKETS_EACH - 1):
        assert flood.past(flood.next_ns(number)) == number + 1
        assert flood.past(flood.next_ns(number) - 1) == number
    assert flood.past(1 << 62) == storm.PACKETS_EACH


def test_what_is_expected_adds_up(tmp_path: Path) -> None:
    scenario = gateway_sim.load(storm.write(tmp_path))
    expected = gateway_sim.expected(scenario)
    drops = {reason: figures["packets"] for reason, figures in expected["drops"].items()}
    assert expected["passed"] == storm.PACKETS_EACH
    assert sum(drops.values()) == storm.PACKETS_EACH * (len(attacks.KINDS) - 1)
    assert drops["spoof"] == drops["teid"] == drops["gtp_in_gtp"] == storm.PACKETS_EACH
    assert drops["infra"] == 2 * storm.PACKETS_EACH
    assert drops["noseq"] == storm.PACKETS_EACH // len(malformed.ALL)


@pytest.mark.parametrize("kind", attacks.KINDS)
def test_frames_are_the_same_however_they_are_cut(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G8, B20: blocks, chunks and portions of frames change nothing."""
    scenario = gateway_sim.load(storm.write(tmp_path, kinds=(kind,)))
    whole, cut = io.BytesIO(), io.BytesIO()
    summary = generate(scenario, whole)
    monkeypatch.setattr(import_module("gateway_sim.traffic.generate"), "FRAMES_MAX", 5)
    generate(scenario, cut, 3)
    assert whole.getvalue() == cut.getvalue()
    assert summary.others == storm.PACKETS_EACH + 10 * 4 + 2 * 2  # sessions, and Echoes


def test_a_teid_of_nobody_is_never_one_of_somebody(tmp_path: Path) -> None:
    """B19, B20"""
    scenario = gateway_sim.load(storm.write(tmp_path, kinds=("unknown-teid",)))
    flood = Flood(scenario, 0)
    taken = {int(teid) for teid in flood.field.taken}
    (frames,) = flood.frames(0, flood.count)
    teids = {int.from_bytes(bytes(row[46:50]), "big") for row in frames.data}
    assert not teids & taken
    assert {0, (1 << 32) - 1} <= teids
    assert len(teids) > storm.PACKETS_EACH // 2
