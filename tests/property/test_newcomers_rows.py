"""New SIMs to which a kernel gives their rows, held against those that the runtime makes one by one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.runtime import Engine
from engine.runtime.sessions import NEWCOMERS_AT_ONCE
from tests.support.gateway import MS, SERVER, T0, book, gateway, line, packet

NETS = ("10.0.0.0/8", "2001:db8::/32")
ADDRESSES = [
    "10.1.0.1",
    "10.1.0.2",
    "10.9.9.9",
    "2001:db8::1",
    "2001:db8::2",
    SERVER,
    "198.51.100.9",
]
MALFORMED = 13


def one_by_one() -> Engine:
    """An engine that is told of every new SIM where its first packet stands."""
    made = gateway(ue_nets=NETS)
    made.population._strangers_only = False
    return made


def told(engine: Engine, batches: list[Any]) -> tuple[list[Any], dict[str, Any], list[int]]:
    """Verdicts, report, and the address table's rows by address."""
    verdicts = [engine.process(batch).tolist() for batch in batches]
    table = np.sort(engine.sessions.addresses, order=("hi", "lo"))
    report = engine.snapshot()
    engine.close()
    return verdicts, report, table[table["row"] >= 0].tolist()


PACKETS = st.tuples(
    st.sampled_from(ADDRESSES),
    st.sampled_from(ADDRESSES),
    st.sampled_from([None, None, 7, 8]),
    st.sampled_from([0, 0, 0, MALFORMED]),
)


@given(st.lists(st.lists(PACKETS, min_size=1, max_size=12), min_size=1, max_size=4))
def test_it_makes_no_difference_who_gives_a_new_sim_its_row(story: list[list[Any]]) -> None:
    """N6, N7, G8: raw packets between SIMs and to themselves, G-PDUs, malformed ones, in any batches"""
    batches, at_ns = [], T0
    for piece in story:
        rows = []
        for source, destination, teid, code in piece:
            rows.append(packet(at_ns, source, destination, teid=teid, code=code))
            at_ns += MS
        batches.append(np.concatenate(rows))
    assert told(gateway(ue_nets=NETS), batches) == told(one_by_one(), batches)


def test_more_may_come_at_once_than_a_kernel_has_room_for() -> None:
    """B20, G8: the table of addresses grows meanwhile, too"""
    count = 2 * NEWCOMERS_AT_ONCE + 100
    rows = np.repeat(packet(T0), count)
    rows["src_lo"] += np.arange(count)
    rows["time_ns"] += np.arange(count)
    found, wanted = (told(engine, [rows]) for engine in (gateway(ue_nets=NETS), one_by_one()))
    assert found == wanted
    assert len(found[1]["sims"]) == count


@pytest.mark.parametrize("named", [True, False])
def test_a_line_that_has_the_address_for_a_name_is_not_doubled(named: bool) -> None:
    """its packets are the line's, as when it was bound to it"""
    engine = gateway(ue_nets=NETS)
    if named:
        engine.load(book(line(code="10.1.0.1", addresses=("10.1.0.9",))), T0)
    engine.process(packet(T0, "10.1.0.1"))
    report = engine.snapshot()
    assert [(sim["code"], sim["up"]["packets"]) for sim in report["sims"]] == [("10.1.0.1", 1)]
    assert report["sims"][0]["contract"] == ("hdd1" if named else "10.1.0.1")
    engine.close()


def test_an_address_that_was_given_back_is_its_sims_again() -> None:
    """N6: a session had it meanwhile"""
    engine = gateway(ue_nets=NETS)
    engine.process(packet(T0, "10.1.0.1"))
    engine.attach(at_ns=T0 + MS, imsi="10.1.0.1", address="10.1.0.2")
    engine.process(np.concatenate([packet(T0 + 2 * MS, a) for a in ("10.1.0.1", "10.1.0.2")]))
    assert [sim["up"]["packets"] for sim in engine.snapshot()["sims"]] == [3]
    engine.close()
