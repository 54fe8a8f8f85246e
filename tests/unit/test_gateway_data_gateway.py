"""A whole gateway in this process: opened, watched, and closed whatever happens."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigError, OutputError, PktollError, PoolError
from engine.gateway.ends import End, bound, end_of
from engine.gateway.gateway import Gateway, Options
from engine.gateway.watch import Watch
from engine.live_layout import PLANE_UNHELD_PACKETS
from engine.signalling.codec import encode
from engine.units import NS_PER_S
from tests.support.gateway import T0
from tests.support.plane import OWN, g_pdu, inner, listen
from tests.support.serve import create_request, lines


def options(**changes: Any) -> Options:
    """Free ports of loopback."""
    fields: dict[str, Any] = {
        "gtp_c": End(OWN, 0),
        "gtp_u": End(OWN, 0),
        "start_ns": T0,
        "hold_packets": 256,
    }
    return Options(**(fields | changes))


def test_it_begins_at_the_date_that_it_is_given_and_time_goes_on_from_there() -> None:
    """U2: no step of the machine's clock moves it"""
    with Gateway(options()) as gateway:
        first_ns = gateway.date.now_ns()
        assert T0 <= first_ns <= gateway.date.now_ns() < T0 + 600 * NS_PER_S
    with Gateway(options(start_ns=None)) as gateway:
        assert gateway.date.now_ns() > T0


def test_an_address_that_is_taken_leaves_nothing_open() -> None:
    with bound(End(OWN, 0), "test") as taken:
        with pytest.raises(PktollError, match="in use"):
            Gateway(options(gtp_u=end_of(taken)))
        with pytest.raises(PktollError, match="in use"):
            Gateway(options(sgi=f"udp:{end_of(taken)}"))


def test_a_coupon_database_that_cannot_be_opened_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PktollError):
        Gateway(options(pool="mysql://x"))

    def fail(*_: Any, **__: Any) -> None:
        raise PoolError("no")

    monkeypatch.setattr("engine.gateway.gateway.Engine", fail)
    pool = f"sqlite:///{tmp_path / 'coupons.db'}"
    for _ in range(2):  # the first one's run was closed
        with pytest.raises(PoolError, match="no"):
            Gateway(options(pool=pool))


def test_wrong_events_leave_nothing_open_and_the_ledger_settled(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text('{"at_ns": 1, "do": "suspend", "line": "nobody"}\n')
    with pytest.raises(PktollError):
        Gateway(options(subscribers=lines(tmp_path / "lines.toml"), events=str(events)))


def test_faults_of_files_come_before_anything_is_opened(tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text("x = 1")
    with pytest.raises(ConfigError):
        Gateway(options(config=str(tmp_path / "wrong.toml")))


def test_the_restart_counter_is_that_of_the_runs_of_a_database_that_lasts(tmp_path: Path) -> None:
    """TS 23.007 18: a peer that sees another one knows that sessions are gone"""
    pool = f"sqlite:///{tmp_path / 'coupons.db'}"
    seen = []
    for _ in range(2):
        with Gateway(options(pool=pool)) as gateway:
            seen.append(gateway._restarts())
    assert seen[1] == seen[0] + 1
    with Gateway(options()) as gateway:
        assert 0 <= gateway._restarts() < 256


def test_the_addresses_of_all_its_ends_are_out_of_bounds(tmp_path: Path) -> None:
    """B16"""
    with Gateway(options(gtp_c=End("127.0.0.9", 0), sgi="udp:127.0.0.8:0")) as gateway:
        assert set(gateway.plane.bearers.nodes._counts) == {
            *(OWN, "127.0.0.9", "127.0.0.8"),
            *("10.64.0.1", "2001:db8:100::1"),  # its own of each pool
        }


def test_usage_records_that_cannot_be_written_end_the_gateway_in_one_line(tmp_path: Path) -> None:
    """The disk is full: what customers owe must not go unrecorded silently"""
    with Gateway(options(records="/dev/full")) as gateway:
        gateway.write_records()
        gateway.pgw.take_records = lambda: [{"imsi": "1"}]  # type: ignore[method-assign]
        with pytest.raises(OutputError, match="--records /dev/full"):
            gateway.write_records()
        gateway._records = None
        gateway.write_records()
    assert gateway.records_written == 0


def serve_and_fail(chosen: Options, error: Exception) -> None:
    """Open a session of line 1, then come upon this error."""
    with Gateway(chosen) as gateway:
        attach(gateway)
        raise error


def attach(gateway: Gateway) -> None:
    """A session of line 1."""
    request = encode(replace(create_request(1, 0x11), sequence=1))
    gateway.pgw.receive(request, (OWN, 2123), gateway.date.now_ns())
    assert len(gateway.plane.bearers) == 1


def test_an_output_that_fails_leaves_the_books_settled_and_other_faults_do_not(
    tmp_path: Path,
) -> None:
    """D9, G4: a run that ends by any other fault is one that was broken off"""
    pool, book = f"sqlite:///{tmp_path / 'coupons.db'}", lines(tmp_path / "lines.toml")
    for error, recovered in ((OutputError("full"), 0), (ValueError("a fault"), 1)):
        with pytest.raises(type(error)):
            serve_and_fail(options(pool=pool, subscribers=book), error)
        with Gateway(options(pool=pool)) as gateway:
            assert len(gateway.engine.store.recovered) == recovered


def test_what_is_said_once_a_second_names_rates_and_what_goes_wrong() -> None:
    """B20: one line of a kind, with the rate"""
    with Gateway(options()) as gateway, listen(OWN) as peer:
        watch = Watch(gateway)
        assert watch.look(gateway.date.now_ns())[1] == []
        for n in range(300):
            peer.sendto(g_pdu(inner(), 1 + n), gateway.gtp_u)
        for _ in range(3):
            gateway.plane.turn(uplink=True, downlink=False)
        line, warnings = watch.look(watch._before.at_ns + NS_PER_S)
        assert line == "sessions 0  up 0/s  down 0/s  dropped 300/s  waiting 0"
        assert warnings == ["300 G-PDUs a second have TEIDs of no session"]
        gateway.plane.words[PLANE_UNHELD_PACKETS] += 7
        overflow(gateway, peer)
        _, warnings = watch.look(watch._before.at_ns + NS_PER_S)
        assert warnings[0] == "no room to wait for 7 packets; give a larger --hold-packets"
        assert warnings[1].startswith("the system dropped ")
        assert watch.look(watch._before.at_ns)[1] == []


def overflow(gateway: Gateway, peer: Any) -> None:
    """More than the socket's buffer holds."""
    gateway.plane.sock.setsockopt(1, 8, 2048)
    for _ in range(50):
        peer.sendto(bytes(1000), gateway.gtp_u)


def test_descriptors_are_given_back() -> None:
    """However often a gateway is opened and closed"""
    with Gateway(options()):
        pass
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with Gateway(options(sgi=f"udp:{OWN}:0")):
            pass
    assert len(os.listdir("/proc/self/fd")) == before
