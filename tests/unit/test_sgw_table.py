"""The transition table: what it has, what it does not have, and that the page shows it."""

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway_sim.signalling.control import Kind
from gateway_sim.signalling.heard import Heard
from gateway_sim.signalling.sessions import Sessions
from gateway_sim.signalling.sgw import EventKind, Step
from gateway_sim.signalling.terminal import Fteid, Terminal
from gateway_sim.signalling.transitions import TABLE, Action, Signal, State, markdown
from tests.support.sgw import S, node, terminal

PAIRS = list(itertools.product(State, Signal))
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->"


def in_state(sgw: Sessions, state: State) -> Terminal:
    """A terminal in a state, with what belongs to a session where it has one."""
    who = terminal()
    who.state = state
    if state in (State.ATTACHED, State.MODIFYING, State.DETACHING, State.ATTACHING):
        who.control, who.user = sgw.new_ends(who)
    if state in (State.ATTACHED, State.MODIFYING, State.DETACHING):
        who.gateway_control, who.gateway_user = Fteid(1, "10.9.0.1"), Fteid(2, "10.9.0.2")
        sgw.enter(who)
    if state is State.MODIFYING:
        who.next_control, who.next_user = sgw.new_ends(who)
    return who


def answer() -> Heard:
    return Heard(2, 33, Kind.CREATE_RESPONSE, cause=16, control=Fteid(7, "10.9.0.1"))


@pytest.mark.parametrize(("state", "signal"), PAIRS)
def test_each_pair_does_what_the_table_says_and_all_others_change_nothing(
    state: State, signal: Signal
) -> None:
    sgw, step = node(), Step()
    who = in_state(sgw, state)
    before = (who.control, who.user, who.gateway_user)
    sgw.signal(who, signal, answer(), S, step)
    if (state, signal) in TABLE:
        assert who.state is TABLE[state, signal][0]
        assert EventKind.FAULT not in [event.kind for event in step.events]
        return
    assert who.state is state
    assert (who.control, who.user, who.gateway_user) == before
    assert [event.text for event in step.events] == [f"{signal} while {state}"]
    assert (sgw.counters["faults"], step.datagrams) == (1, [])


@pytest.mark.parametrize(("pair", "entry"), TABLE.items())
def test_a_session_has_ends_at_this_node_while_it_lasts_and_no_longer(
    pair: tuple[State, Signal], entry: tuple[State, Action]
) -> None:
    sgw = node()
    who = in_state(sgw, pair[0])
    sgw.signal(who, pair[1], answer(), S, Step())
    ends = [end for end in (who.user, who.next_user) if end]
    assert sorted(sgw.by_user) == sorted(end.teid for end in ends)
    lasts = entry[0] not in (State.IDLE, State.REFUSED, State.LOST)
    assert bool(ends) == lasts
    sends = entry[1] in (Action.SEND_CREATE, Action.SEND_MODIFY, Action.SEND_DELETE)
    assert (who in sgw.waiting) == sends


def test_every_state_signal_and_action_is_used_and_every_state_can_be_reached_and_left() -> None:
    assert {state for state, _ in TABLE} == set(State)
    assert {after for after, _ in TABLE.values()} == set(State)
    assert {signal for _, signal in TABLE} == set(Signal)
    assert {action for _, action in TABLE.values()} == set(Action)


def test_whoever_waits_for_the_gateway_may_wait_in_vain() -> None:
    """No state in which a request is under way is without a way out when no answer comes."""
    waiting = {
        after
        for after, action in TABLE.values()
        if action in (Action.SEND_CREATE, Action.SEND_MODIFY, Action.SEND_DELETE)
    }
    assert waiting == {State.ATTACHING, State.MODIFYING, State.DETACHING}
    for state in waiting:
        assert TABLE[state, Signal.TIMEOUT] == (State.LOST, Action.CLOSE)


def test_the_page_shows_the_table_of_the_code(project: Path, regen: bool) -> None:
    """`--regen` writes it anew"""
    page = project / "docs" / "simulator.md"
    text = page.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    wanted = head + BEGIN + markdown() + END + tail
    if regen:
        page.write_text(wanted, encoding="utf-8")
    assert text == wanted or regen, "run: pytest tests/unit/test_sgw_table.py --regen"


def test_the_page_names_every_event(project: Path) -> None:
    text = (project / "docs" / "simulator.md").read_text(encoding="utf-8")
    for kind in EventKind:
        assert f"| {kind} |" in text


def test_the_example_of_the_page_works_as_written(project: Path) -> None:
    text = (project / "docs" / "simulator.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(text.split("```python\n")[1].split("```")[0], names)
    assert names["octets"][:2] == b"\x48\x20"
    assert names["step"].datagrams == [(names["octets"], ("127.0.0.2", 2123))]


def test_scapy_is_not_loaded_before_the_first_message_is_made() -> None:
    words = (
        "import sys, gateway_sim.signalling.sgw;"
        "sys.exit(any(m.startswith('scapy') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", words], check=False).returncode == 0
