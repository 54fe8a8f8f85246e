"""Several gateways on one coupon store against the naive model, through any order of calls and crashes.

Gateway "c" has a lease that is over at once, so that others take over from it; the others' leases last. The
model is `tests.proof.model`, which shares no code with a store.
"""

import copy
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from engine import calendar
from engine.errors import PktollError, PoolError
from engine.pool import CouponStore, open_store
from engine.pool.store import StoreOptions
from tests.proof.facts import Finding
from tests.proof.gateway import Call
from tests.proof.model import Ledger
from tests.proof.places import SqlitePlace, scratch
from tests.proof.planted import PLANTED, with_bug
from tests.proof.twin import Twin, compare
from tests.support.postgres import Cluster

SLICE = 10 * 1024 * 1024
LEASE_NS = {"a": 1 << 60, "b": 1 << 60, "c": 1}
GATEWAYS = st.sampled_from(sorted(LEASE_NS))
CONTRACTS = ("hdd1", "hdd2")
LINES = (("hdd1", "hdo1"), ("hdd1", "hdo2"), ("hdd2", "hdo3"))
PAIRS = st.sampled_from(LINES)
open_store_of = open_store


class Gateways(RuleBasedStateMachine):
    """One database, the stores that are open on it, and the model."""

    kind = "sqlite"
    refund = False
    cluster: Cluster | None = None

    def __init__(self) -> None:
        super().__init__()
        self.findings: list[Finding] = []
        self.twin = Twin(Ledger(refund=self.refund), self.findings.append)
        self.stores: dict[str, CouponStore] = {}
        self.runs: dict[str, int] = {}
        self.group = ""  # the gateway that has a group open: nobody else writes meanwhile
        self.before: Ledger | None = None
        self.now = calendar.month_start_ns(2026 * 12) + 5
        self.count = 0
        self.asked: list[tuple[str, tuple[Any, ...]]] = []
        self.folder = scratch()
        self.url: str | None = self.place()
        self.operator = open_store(self.url, StoreOptions(None)) if self.url else None

    def place(self) -> str | None:
        """Where the database is; None in memory."""
        path = self.folder.__enter__()
        if self.kind == "postgres":
            assert self.cluster is not None
            return self.cluster.emptied()
        return SqlitePlace(path).fresh() if self.kind == "sqlite" else None

    def name(self, kind: str) -> str:
        """A new id."""
        self.count += 1
        return f"{kind}{self.count}"

    def who(self, name: str) -> str:
        """The gateway that is meant."""
        return name

    def do(self, name: str, method: str, *arguments: Any) -> Any:
        """A call of a gateway; None where the store refuses, and the model too."""
        name = self.who(name)
        if self.group not in ("", name):
            return None
        self.start(name)
        with suppress(PktollError):
            return self.twin.perform(self.stores[name], self.runs[name], Call(method, arguments))
        return None

    def start(self, name: str) -> None:
        """Start the gateway, if it is not running: what its last run left is recovered."""
        if name not in self.stores and not self.group:
            store = open_store_of(
                self.url,
                StoreOptions(name, "refund" if self.refund else "charge", LEASE_NS[name]),
            )
            if name in self.runs:
                self.twin.model.end(self.runs[name], clean=False)
            self.stores[name], self.runs[name] = store, store.run_id
            self.twin.model.start(store.run_id)

    @initialize()
    def fill(self) -> None:
        """Something to hand out."""
        for contract in CONTRACTS:
            self.credit("a", contract, 1)

    @rule(name=GATEWAYS, clean=st.booleans())
    def stop(self, name: str, clean: bool) -> None:
        """I8, G4: a clean end, or a process that is gone."""
        if name not in self.stores or self.kind == "memory":
            return
        if clean and self.group != name:
            self.do(name, "close", True)
        if self.group == name and self.before is not None:
            self.twin.model, self.before, self.group = self.before, None, ""
        self.stores.pop(name).close(clean=False)

    @rule(name=GATEWAYS)
    def start_twice(self, name: str) -> None:
        """F20, B84"""
        if name in self.stores and self.url and not self.group:
            with pytest.raises(PoolError):
                open_store(self.url, StoreOptions(name, answer_ms=20))

    @rule(name=GATEWAYS, keep=st.booleans())
    def begin_or_end_a_group(self, name: str, keep: bool) -> None:
        name = self.who(name)
        if not self.group:
            self.start(name)
            before = copy.deepcopy(self.twin.model)
            self.do(name, "begin")
            if self.twin.model.runs[self.runs[name]]:
                self.group, self.before = name, before
            return
        name, self.group = self.group, ""
        self.do(name, "commit" if keep else "rollback")
        if not keep and self.before is not None:
            self.twin.model = self.before
        self.before = None

    @rule(name=GATEWAYS, pair=PAIRS, balance=st.sampled_from([0, 0, 5, 2 * SLICE]))
    def open_line(self, name: str, pair: tuple[str, str], balance: int) -> None:
        self.do(name, "open_line", *pair, balance)

    @rule(name=GATEWAYS, pair=PAIRS, again=st.integers(0, 2))
    def grant(self, name: str, pair: tuple[str, str], again: int) -> None:
        """D1-D3, I3: a third of the requests is made again at once"""
        line = self.twin.model.lines.get(pair[1])
        if line is None or line.run != self.runs.get(self.who(name)):
            self.do(name, "open_line", *pair, 0)
        request = (self.name("r"), *pair, self.now)
        self.asked.append((name, request))
        answers = [self.do(name, "grant", *request) for _ in range(1 + again)]
        assert answers.count(answers[0]) == len(answers)

    @rule(data=st.data(), name=GATEWAYS)
    def grant_of_before(self, data: st.DataObject, name: str) -> None:
        """F8, F9: an old request, by whomever"""
        if self.asked:
            _, request = data.draw(st.sampled_from(self.asked[-6:]))
            self.do(name, "grant", *request)

    @rule(name=GATEWAYS, pair=PAIRS, used=st.integers(0, 4), more=st.integers(0, 4))
    def mark(self, name: str, pair: tuple[str, str], used: int, more: int) -> None:
        """G4: at most what is held, and one byte more, which is refused"""
        line = self.twin.model.lines.get(pair[1])
        held = line.base + line.granted if line else 10
        first = max(line.settled, line.used) if line else 0
        certain = first + (held - first) * used // 4
        mark = certain + (held - certain) * more // 4
        if pair[1] not in self.twin.model.removed:
            self.do(name, "mark", [(pair[1], certain, mark + (more == 4 and used == 1))])

    @rule(name=GATEWAYS, pair=PAIRS, share=st.integers(0, 5), final=st.booleans())
    def settle(self, name: str, pair: tuple[str, str], share: int, final: bool) -> None:
        """I2, I5: share 5 is one byte more than the SIM holds"""
        line = self.twin.model.lines.get(pair[1])
        held = line.held if line else 0
        used = (line.settled if line else 0) + (held + 1 if share == 5 else held * share // 4)
        if pair[1] not in self.twin.model.removed and (line is None or used >= line.used):
            self.do(name, "settle", pair[1], used, final)

    @rule(name=GATEWAYS, contract=st.sampled_from(CONTRACTS), months=st.integers(0, 2))
    def credit(self, name: str, contract: str, months: int) -> None:
        """C1, C6: good from this month on; of length 0 for tests of the edge"""
        month = calendar.month_of(self.now)
        good = calendar.month_start_ns(month), calendar.month_start_ns(month + 1 + months)
        credit = (self.name("p"), contract, "bundle", 2 * SLICE + 7, *good)
        for _ in range(2):
            self.do(name, "credit", *credit)

    @rule(name=GATEWAYS, contract=st.sampled_from(CONTRACTS), coupons=st.sampled_from([1, 7, 16]))
    def buy(self, name: str, contract: str, coupons: int) -> None:
        """C3, C4: twice the same request, one purchase"""
        purchase = (self.name("b"), contract, coupons, self.now)
        for _ in range(2):
            self.do(name, "buy", *purchase)

    @rule(to=st.sampled_from(["next", "last", "new month"]))
    def let_time_pass(self, to: str) -> None:
        """G9: to the last or the first nanosecond of a month"""
        end = calendar.month_start_ns(calendar.month_of(self.now) + 1)
        self.now = {"next": self.now + 1, "last": end - 1, "new month": end}[to]

    @rule(name=GATEWAYS)
    def expire(self, name: str) -> None:
        """C6, I7"""
        self.do(name, "expire", self.now)

    @rule(name=GATEWAYS, pair=PAIRS)
    def remove_line(self, name: str, pair: tuple[str, str]) -> None:
        """L4: seldom, or there would be no lines left"""
        if self.count % 7 == 3:
            self.do(name, "remove_line", pair[1], self.now)

    @rule(name=GATEWAYS, contract=st.sampled_from(CONTRACTS))
    def close_contract(self, name: str, contract: str) -> None:
        """A4, A6"""
        if self.count % 7 == 5:
            self.do(name, "close_contract", contract, self.now)

    @invariant()
    def nothing_differs(self) -> None:
        assert self.findings == []

    @precondition(lambda self: not self.group and self.operator is not None)
    @invariant()
    def books_agree(self) -> None:
        assert self.operator is not None
        assert compare(self.operator, self.twin.model) == []

    def teardown(self) -> None:
        for store in self.stores.values():
            store.close(clean=False)
        if self.operator is not None:
            assert self.operator.audit() == []
            self.operator.close()
        self.folder.__exit__(None, None, None)


class InMemory(Gateways):
    """One gateway, whose database is gone with it."""

    kind = "memory"

    def who(self, name: str) -> str:
        return "a"

    def teardown(self) -> None:
        if "a" in self.stores and not self.group:
            assert compare(self.stores["a"], self.twin.model) == []
            assert self.stores["a"].audit() == []
        super().teardown()


class Refunding(Gateways):
    """What is uncertain is given back."""

    refund = True


class OnPostgres(Gateways):
    """The shared database."""

    kind = "postgres"


EXAMPLES = max(10, settings().max_examples // 3)
QUIET = [Phase.explicit, Phase.generate]


@pytest.mark.parametrize("machine", [Gateways, InMemory, Refunding])
def test_any_order_of_calls_and_crashes_keeps_the_books(machine: type[Gateways]) -> None:
    """D9, G1, G4, G9, I1-I5, I7, I8, C3-C7, D1-D4, D6, L4, A4, F8, F9, F11, F20"""
    few = settings(max_examples=EXAMPLES, stateful_step_count=30)
    run_state_machine_as_test(machine, settings=few)


def test_any_order_of_calls_and_crashes_keeps_the_books_on_postgresql(postgres: Cluster) -> None:
    """D9, G1, G4, G9, I1-I5, I7, I8, C3-C7, D1-D4, D6, L4, A4, F8, F9, F11, F20"""
    OnPostgres.cluster = postgres
    few = settings(max_examples=max(8, EXAMPLES // 8), stateful_step_count=25)
    run_state_machine_as_test(OnPostgres, settings=few)


@pytest.mark.parametrize(
    "bug", ["no request id", "no mark", "slice above 10 MB", "purchase made twice"]
)
def test_the_machine_catches_a_planted_bug(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """I3, G4, D1, C3: a machine that nobody has seen fail proves nothing"""

    def wrong(url: str | None, options: StoreOptions) -> CouponStore:
        open_it = with_bug(PLANTED[bug].bug, partial(open_store, url), lambda sql, values: None)
        return open_it(options)

    monkeypatch.setitem(globals(), "open_store_of", wrong)
    many = settings(max_examples=100, stateful_step_count=30, phases=QUIET)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Gateways, settings=many)
