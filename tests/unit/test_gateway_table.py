"""A live gateway whose lines come from a binary table: they wake when they attach."""

from pathlib import Path

import pytest

from engine.errors import AttachError
from engine.gateway.ends import End
from engine.gateway.gateway import Gateway, Options
from tests.support.gateway import T0
from tests.support.plane import OWN
from tests.support.simstable import write


def options(table: Path, events: str | None = None) -> Options:
    """Free ports of loopback."""
    own = End(OWN, 0)
    return Options(
        gtp_c=own,
        gtp_u=own,
        start_ns=T0,
        hold_packets=256,
        subscribers=str(table),
        events=events,
    )


def test_who_attaches_wakes_and_nobody_else(tmp_path: Path) -> None:
    """N1, N6, L1"""
    table = write(tmp_path / "family.sims")
    with Gateway(options(table)) as gateway:
        engine, now_ns = gateway.engine, gateway.date.now_ns()
        assert engine.snapshot()["sleeping_sims"] == 4
        with pytest.raises(AttachError, match="nobody has entered"):
            engine.admits(imsi="440100000000009", at_ns=now_ns)
        found = engine.admits(imsi="440100000000001", at_ns=now_ns)
        assert (found.code, found.addresses) == ("hdo1", ())
        with pytest.raises(AttachError, match="suspended"):
            engine.admits(imsi="00101", at_ns=now_ns)
        assert engine.snapshot()["sleeping_sims"] == 0


def test_events_may_name_those_who_sleep(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text('{"at_ns": 1, "do": "suspend", "line": "hdo2"}\n')
    table = write(tmp_path / "family.sims")
    with Gateway(options(table, events=str(events))) as gateway:
        assert gateway.engine.snapshot()["sleeping_sims"] == 1
