"""The control plane against a naive model of it, through any order of messages of three peers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.gateway.pools import REST_NS
from engine.layout import SIM_ATTACHED
from engine.signalling.causes import Cause, number
from engine.signalling.codec import decode, encode
from engine.signalling.messages import (
    PDN_IPV4,
    PDN_IPV4V6,
    PDN_IPV6,
    Kind,
    Message,
    Options,
    Pap,
)
from engine.subscribers import Book, Contract, Line
from engine.units import NS_PER_S
from tests.support.gateway import PLAN
from tests.support.pgw import PAP, World, create, delete, imsi_of, modify, world

PEERS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
SIMS, STRANGER, POOL4, POOL6 = 7, 8, 5, 3
WRONG = Options(pap=Pap(b"mio@iij", b"guess", 1))
TYPES = (PDN_IPV4, PDN_IPV4V6, PDN_IPV6)
SHARED_TEID = 77
ACTIONS = (
    *("attach", "attach", "attach", "detach", "move", "intrude", "repeat"),
    *("suspend", "resume", "restart", "wait", "indicate", "wrong"),
)
Step = tuple[str, int, int, int]


@dataclass
class Open:
    """A session as the model has it."""

    version: int
    peer: str
    teid_down: int
    pdn_type: int


@dataclass
class Model:
    """What must be so, as far as a peer can tell."""

    sessions: dict[int, Open] = field(default_factory=dict)
    suspended: set[int] = field(default_factory=set)
    counters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PEERS, 1))
    known: dict[tuple[int, str], int] = field(default_factory=dict)

    def heard(self, version: int, peer: str) -> None:
        counter = self.counters[peer]
        if self.known.get((version, peer), counter) != counter:
            self.known[version, peer] = counter
            for sim in [
                n for n, s in self.sessions.items() if (s.version, s.peer) == (version, peer)
            ]:
                del self.sessions[sim]

    def holder(self, peer: str, teid: int) -> int | None:
        found = [n for n, s in self.sessions.items() if (s.peer, s.teid_down) == (peer, teid)]
        return found[0] if found else None

    def held(self, *types: int) -> int:
        return sum(session.pdn_type in types for session in self.sessions.values())

    def attach(self, sim: int, new: Open) -> Cause:
        self.heard(new.version, new.peer)
        if sim == STRANGER:
            return Cause.UNKNOWN_IMSI
        if sim in self.suspended:
            return Cause.NO_SUBSCRIPTION
        holder = self.holder(new.peer, new.teid_down)
        if holder is not None:
            del self.sessions[holder]
        self.sessions.pop(sim, None)
        four, six = new.pdn_type != PDN_IPV6, new.pdn_type != PDN_IPV4
        if (four and self.held(PDN_IPV4, PDN_IPV4V6) == POOL4) or (
            six and self.held(PDN_IPV6, PDN_IPV4V6) == POOL6
        ):
            return Cause.NO_ADDRESS
        self.sessions[sim] = new
        self.known[new.version, new.peer] = self.counters[new.peer]
        return Cause.ACCEPTED


class Walk:
    """Takes steps in both, and compares."""

    def __init__(self, here: World) -> None:
        self.here, self.model = here, Model()
        self.last: tuple[bytes, tuple[str, int]] | None = None

    def ask(self, message: Message, peer: str) -> Message:
        self.last = encode(message), (peer, 2123)
        return decode(self.here.send(message, (peer, 2123))[0][0])

    def step(self, step: Step) -> None:
        action, a, b, c = step
        if action in ("wait", "restart"):
            self.last = None  # after that it may be no repetition
        getattr(self, action)(a % SIMS + 1, b, c)
        self.here.later(0)
        self.check()

    # --- what may happen --------------------------------------------------------------------------

    def attach(self, sim: int, b: int, c: int) -> None:
        sim = STRANGER if b % 16 == 15 else sim
        version, peer, pdn_type = b % 2 + 1, PEERS[b % 3], TYPES[c % 3]
        teid = SHARED_TEID if c % 5 == 0 else 2_000 + sim
        cause = self.model.attach(sim, Open(version, peer, teid, pdn_type))
        request = create(
            version,
            sim,
            next(self.here.sequences),
            peer=peer,
            teid_down=teid,
            pdn_type=pdn_type,
            recovery=self.model.counters[peer],
            options=PAP,
        )
        assert self.ask(request, peer).cause == number(version, cause)

    def wrong(self, sim: int, b: int, c: int) -> None:
        version, peer = b % 2 + 1, PEERS[b % 3]
        changes = ({"options": WRONG}, {"apn": "x"}, {"network": ("440", "20")})[c % 3]
        request = create(version, sim, next(self.here.sequences), peer=peer, **changes)
        cause = (Cause.AUTHENTICATION, Cause.UNKNOWN_APN, Cause.ROAMING)[c % 3]
        assert self.ask(request, peer).cause == number(version, cause)

    def detach(self, sim: int, b: int, c: int) -> None:
        mine = self.model.sessions.pop(sim, None)
        if mine is not None:
            session = self.here.pgw.sessions.by_imsi[imsi_of(sim)]
            answer = self.ask(delete(session, next(self.here.sequences)), mine.peer)
            assert answer.cause == number(mine.version, Cause.ACCEPTED)

    def intrude(self, sim: int, b: int, c: int) -> None:
        """Another peer, or a TEID of nobody's: not found."""
        mine = self.model.sessions.get(sim)
        if mine is not None:
            session = self.here.pgw.sessions.by_imsi[imsi_of(sim)]
            other = PEERS[(PEERS.index(mine.peer) + 1 + b % 2) % 3]
            request = delete(session, next(self.here.sequences))
            if c % 2:
                request = modify(session, other, (5, 6), control=None)
            assert self.ask(request, other).cause == number(mine.version, Cause.NOT_FOUND)

    def move(self, sim: int, b: int, c: int) -> None:
        mine = self.model.sessions.get(sim)
        if mine is None:
            return
        session = self.here.pgw.sessions.by_imsi[imsi_of(sim)]
        peer, teid = PEERS[b % 3], SHARED_TEID if c % 3 == 0 else 3_000 + sim
        request = modify(session, peer, (1, teid), sequence=next(self.here.sequences))
        holder = self.model.holder(peer, teid)
        if holder not in (None, sim):
            del self.model.sessions[holder or 0]
        self.model.sessions[sim] = Open(mine.version, peer, teid, mine.pdn_type)
        assert self.ask(request, peer).cause == number(mine.version, Cause.ACCEPTED)

    def repeat(self, sim: int, b: int, c: int) -> None:
        if self.last is not None:
            data, peer = self.last
            first = self.here.send(data, peer)
            assert self.here.send(data, peer) == first

    def suspend(self, sim: int, b: int, c: int) -> None:
        self.here.engine.suspend(f"l{sim}", at_ns=self.here.now_ns)
        self.model.suspended.add(sim)
        self.model.sessions.pop(sim, None)

    def resume(self, sim: int, b: int, c: int) -> None:
        self.here.engine.resume(f"l{sim}", at_ns=self.here.now_ns)
        self.model.suspended.discard(sim)

    def restart(self, sim: int, b: int, c: int) -> None:
        peer = PEERS[b % 3]
        self.model.counters[peer] = (self.model.counters[peer] + 1) % 256
        if c % 2:
            self.model.heard(2, peer)
            counter = self.model.counters[peer]
            self.ask(
                Message(2, Kind.ECHO_REQUEST, next(self.here.sequences), recovery=counter), peer
            )

    def wait(self, sim: int, b: int, c: int) -> None:
        """Some time; the packets of one terminal keep its session."""
        self.here.now_ns += (1, 60, 1_800)[b % 3] * NS_PER_S
        if b % 3 == 2:
            kept = {sim: self.model.sessions[sim]} if sim in self.model.sessions else {}
            if kept:
                self.here.wires.active_ns[imsi_of(sim)] = self.here.now_ns
            self.model.sessions = kept
        for session in self.model.sessions:
            self.here.wires.active_ns[imsi_of(session)] = self.here.now_ns

    def indicate(self, sim: int, b: int, c: int) -> None:
        mine = self.model.sessions.get(sim)
        if mine is not None:
            peer = PEERS[b % 3]
            self.here.pgw.error_indication(mine.teid_down, peer, self.here.now_ns)
            holder = self.model.holder(peer, mine.teid_down)
            if holder is not None:
                del self.model.sessions[holder]

    # --- what must be so --------------------------------------------------------------------------

    def check(self) -> None:
        table, model = self.here.pgw.sessions, self.model
        found = {
            int(session.imsi[5:]): Open(
                session.version,
                session.peer_user,
                session.teid_down,
                self.pdn_type(session.addresses),
            )
            for session in table.by_teid.values()
        }
        assert found == model.sessions
        sessions = list(table.by_teid.values())
        addresses = [address for session in sessions for address in session.addresses]
        assert len(set(addresses)) == len(addresses)
        assert len({session.teid_up for session in sessions}) == len(sessions)
        assert {s.imsi for s in sessions} == set(table.by_imsi)
        assert {s.line for s in sessions} == set(table.by_line)
        assert set(addresses) == set(table.by_address)
        held = self.here.pgw.counters
        assert held["pool4-held"] == sum(":" not in address for address in addresses)
        assert held["pool6-held"] == sum(":" in address for address in addresses)
        assert list(self.here.wires.open_now.values()) == sessions
        rows = self.here.engine.sims.rows
        lines = self.here.engine.book.lines
        attached = {line.code for line in lines if int(rows[line.row]["flags"]) & SIM_ATTACHED}
        assert attached == set(table.by_line)

    @staticmethod
    def pdn_type(addresses: tuple[str, ...]) -> int:
        if len(addresses) == 2:
            return PDN_IPV4V6
        return PDN_IPV6 if ":" in addresses[0] else PDN_IPV4

    def finish(self) -> None:
        """All is deleted, and everything comes back."""
        for sim in list(self.model.sessions):
            self.detach(sim, 0, 0)
        for sim in range(1, SIMS + 1):
            self.resume(sim, 0, 0)
        self.check()
        counters = self.here.pgw.counters
        assert counters["sessions"] == counters["pool4-held"] == counters["pool6-held"] == 0
        ended = sum(count for name, count in counters.items() if name.startswith("ended:"))
        assert ended == counters.get("opened", 0)
        self.here.engine.snapshot()


@contextmanager
def walk() -> Iterator[Walk]:
    lines = tuple(Line(code=f"l{n}", imsi=imsi_of(n)) for n in range(1, SIMS + 1))
    contracts = tuple(
        Contract(f"hdd{n}", PLAN, date(2013, 11, 1), (line,), (), ipv6=True)
        for n, line in enumerate(lines)
    )
    with world(Book(contracts), session_s=0) as here:
        yield Walk(here)


numbers = st.integers(0, 59)
STEPS = st.lists(st.tuples(st.sampled_from(ACTIONS), numbers, numbers, numbers), max_size=40)


@settings(max_examples=settings().max_examples // 2)
@given(STEPS)
def test_no_order_of_messages_leads_the_control_plane_astray(steps: list[Step]) -> None:
    """N1-N7, L1, O1, B48, B50: one session a line; addresses and TEIDs are one session's; all comes back"""
    with walk() as one:
        for step in steps:
            one.step(step)
        one.finish()
        records = one.here.pgw.take_records()
        assert len(records) == one.here.pgw.counters.get("opened", 0)


def test_two_thousand_short_walks_end_with_full_pools() -> None:
    """N2, N6, B50: one gateway lives through all of them"""
    dice = Random(5)
    with walk() as one:
        for _ in range(2_000):
            for _ in range(5):
                action = dice.choice(ACTIONS)
                one.step((action, dice.randrange(60), dice.randrange(60), dice.randrange(60)))
            one.finish()
            one.here.pgw.take_records()
            one.last = None
            one.here.now_ns += REST_NS * dice.randrange(2)
        assert one.here.pgw.counters["opened"] > 2_000
        for name in ("repeated", "peer-restarts", "moved", "ended:tunnel-taken", "ended:idle"):
            assert one.here.pgw.counters[name] > 5


@pytest.mark.parametrize("fault", ["forgets the address", "keeps the old session"])
def test_the_model_notices_a_control_plane_that_is_wrong(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """planted faults"""
    with walk() as one:
        if fault == "forgets the address":
            connections = one.here.pgw._connections
            monkeypatch.setattr(connections, "_give_back", lambda *_: None)
            steps: list[Step] = [("attach", 0, 0, 1), ("detach", 0, 0, 0)]
        else:
            monkeypatch.setattr(one.here.engine, "take_cut", list)
            steps = [("attach", 0, 0, 1), ("suspend", 0, 0, 0)]
        one.step(steps[0])
        with pytest.raises(AssertionError):
            one.step(steps[1])
