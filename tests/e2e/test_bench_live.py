"""What the live benchmark counts: all that comes through, and nothing else."""

import os
import subprocess
from pathlib import Path
from typing import cast

import pytest

from bench import live_gateways, live_place
from bench.live import LOSS_MAX, STEP, Live, Measured, Row, as_json, times_osmo
from bench.live_gateways import DOWN, Gateway
from bench.live_place import Blaster, Place, Sent, Tunnel
from tests.support.osmo import need

SESSIONS = 7
RATE = 5_000.0
MS = 100.0
BENCH = Path(live_place.__file__).parent


@pytest.fixture(scope="module", autouse=True)
def sender() -> None:
    """The programs in C, built here."""
    need("ip", "cc")
    subprocess.run(["sh", str(BENCH / "build.sh"), "live_blast", "live_floor"], check=True)
    assert live_place.missing() is None


@pytest.mark.parametrize("looped", [False, True])
@pytest.mark.parametrize("sgi", ["tun", "udp"])
def test_all_that_a_gateway_moves_is_counted_once(tmp_path: Path, sgi: str, looped: bool) -> None:
    """Both ways, by every kind of SGi side, at a rate that nobody loses anything at"""
    core = max(os.sched_getaffinity(0))
    with (
        Place(f"count-{sgi}", looped=looped) as place,
        live_gateways.floor(sgi, place, SESSIONS, core, tmp_path) as gateway,
        live_place.blaster(place, gateway.tunnels, core, tmp_path) as blast,
    ):
        for way in ("up", gateway.down):
            for size in (64, 1400):
                sent = blast(way, size, RATE, MS)
                assert sent.sent == sent.received > RATE * MS / 2_000, (way, size)
        found = Live(place, gateway, blast).measure("up", 430, RATE, MS)
    assert (found.loss, found.cpu_ns > 0) == (0.0, True)


def test_without_a_gateway_nothing_comes_through(tmp_path: Path) -> None:
    """The planted fault: whoever loses everything is seen to lose it"""
    core = max(os.sched_getaffinity(0))
    tunnels = [Tunnel(1, "10.64.0.2")]
    with (
        Place("nobody", looped=False) as place,
        live_place.blaster(place, tunnels, core, tmp_path) as blast,
    ):
        gateway = Gateway(os.getpid(), tunnels, DOWN["udp"])
        found = Live(place, gateway, blast).measure("down", 64, RATE, MS)
    assert (found.loss, found.carried_per_s) == (1.0, 0.0)


class Lossy:
    """A sender whose packets come through up to a rate, and above it all but one in a hundred."""

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def __call__(self, way: str, size: int, packets_per_s: float, ms: float) -> Sent:
        sent = int(packets_per_s * ms / 1e3)
        return Sent(sent, ms * 1e6, sent if packets_per_s <= self.limit else sent - sent // 100)


def lossy(limit: float) -> Live:
    gateway = Gateway(os.getpid(), [], DOWN["tun"])
    return Live(cast(Place, None), gateway, cast(Blaster, Lossy(limit)))


def test_the_rate_without_loss_is_looked_for_downwards() -> None:
    assert lossy(1e9).clean("up", 64, 1000.0) == 1000.0
    found = lossy(600.0).clean("up", 64, 1000.0)
    assert found is not None
    assert 600.0 * STEP <= found <= 600.0
    assert lossy(0.0).clean("up", 64, 1000.0) is None


def test_loss_and_ratio_are_those_of_the_rounds() -> None:
    rounds = [Measured(1000.0, carried, 2.0) for carried in (999.5, 900.0, 990.0)]
    ours = Row("veth", 1, "up", 64, "pktoll tun", rounds, None)
    osmo = ours._replace(name="osmo-ggsn", rounds=[Measured(1000.0, 495.0, 4.0)])
    assert rounds[0].loss < LOSS_MAX < rounds[1].loss
    assert times_osmo(ours, [ours, osmo]) == 2.0
    assert times_osmo(ours, [ours]) is None
    document = as_json([ours, osmo])
    assert document["schema"] == "pktoll.bench-live/1"
    (first, _) = cast(list[dict[str, object]], document["rows"])
    assert (first["carried_per_s"], first["loss"], first["times_osmo_ggsn"]) == (990, 0.01, 2.0)
