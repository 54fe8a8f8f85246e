"""One account of the contract book and its naive twin, driven together."""

import dataclasses
from collections.abc import Callable
from datetime import date
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.errors import RefusedError
from engine.subscribers import account, book, documents, views
from engine.subscribers import actions as do
from engine.subscribers.admission import admission
from engine.subscribers.effects import ContractEnded, LineRemoved
from tests.property.naive_book import (
    CONTRACTS_MAX,
    DAY,
    EVENING_NS,
    SIMS,
    VOICE_MAX,
    Model,
    Moment,
    next_month,
)
from tests.support.books import MIO, SETTINGS

SMALL = dataclasses.replace(
    SETTINGS,
    terms=dataclasses.replace(
        SETTINGS.terms, service_contracts_max=CONTRACTS_MAX, voice_lines_max=VOICE_MAX
    ),
)
NS_PER_DAY = 86_400 * 10**9
CLOCKS = (0, 1, EVENING_NS - 1, EVENING_NS, NS_PER_DAY - 1)
STARTS = (date(2012, 1, 31), date(2013, 11, 20), date(2014, 1, 30), date(2015, 12, 1))
CARDS = tuple(f"89811000000000000{number:02}" for number in range(16))
IMSIS = tuple(f"4401000000000{number:02}" for number in range(12))
NUMBERS = tuple(f"8190000000{number:02}" for number in range(12))
WORDS_OF_CONTRACTS = (
    *("start", "send_document", "cancel", "take_back"),
    *("rescind", "add_option", "cancel_option"),
)
WORDS_OF_LINES = (
    *("cancel_line", "remove_line", "suspend", "resume", "report_lost"),
    *("reserve_port_out", "complete_port_out", "complete_port_in"),
)


def ns_of(when: Moment) -> int:
    """ns since 1970 of a Japanese moment."""
    return (when[0] - date(1970, 1, 1)).days * NS_PER_DAY + when[1] - 9 * 3600 * 10**9


class BookMachine(RuleBasedStateMachine):
    """A1-A8, A10, L1-L4, N6, O1, S1-S3: one account, and what it should be."""

    @initialize(begin=st.sampled_from(STARTS), clock=st.sampled_from(CLOCKS))
    def open(self, begin: date, clock: int) -> None:
        self.model = Model((begin, clock))
        self.account, _ = book.open_account(MIO, ns_of(self.model.now))
        self.codes = 0
        self.ended: set[str] = set()
        self.removed: set[str] = set()
        self.named: set[str] = set()

    def act(self, action: Any, allowed: Callable[[Model], bool]) -> bool:
        """The book refuses it if and only if the model does, and then nothing has changed."""
        wanted = not self.model.lapsed and allowed(self.model)
        before = self.account
        try:
            outcome = book.perform(self.account, action, ns_of(self.model.now), SMALL)
        except RefusedError:
            assert not wanted, action
            assert self.account == before
            return False
        assert wanted, action
        self.take(outcome)
        return True

    def take(self, outcome: book.Outcome) -> None:
        for effect in outcome.effects:
            if isinstance(effect, ContractEnded):
                assert effect.contract not in self.ended
                self.ended.add(effect.contract)
            if isinstance(effect, LineRemoved):
                assert effect.line not in self.removed
                self.removed.add(effect.line)
        self.account = outcome.account

    def contract(self, choice: int) -> str | None:
        """One of the contracts, living ones first, the newest first; None where there are none."""
        live = self.model.live()
        return self.pick([*sorted(set(self.model.contracts) - set(live)), *live], choice)

    def line(self, choice: int) -> str | None:
        """One of the lines, likewise."""
        gone = {code for code, line in self.model.lines.items() if line.removed}
        return self.pick([*sorted(gone), *sorted(set(self.model.lines) - gone)], choice)

    def pick(self, codes: list[str], choice: int) -> str | None:
        return codes[-1 - choice % len(codes)] if codes else None

    @rule(plan=st.sampled_from(sorted(SIMS)), completed=st.booleans(), again=st.booleans())
    def apply(self, plan: str, completed: bool, again: bool) -> None:
        self.codes += not again or self.codes == 0
        code = f"hdd{self.codes:08}"
        action = do.Apply(code, plan=plan, completed=completed)
        self.act(action, lambda model: model.apply(code, plan, completed))

    @rule()
    def complete(self) -> None:
        self.act(do.Complete(), lambda model: model.complete())

    @rule(word=st.sampled_from(WORDS_OF_CONTRACTS), choice=st.integers(0, 3))
    def on_contract(self, word: str, choice: int) -> None:
        code = self.contract(choice)
        if code is None:
            return
        kind: Any = do.ACTIONS[word.replace("_", "-")]
        extra = {"option": "ipv6"} if word.endswith("option") else {}
        self.act(kind(contract=code, **extra), lambda model: getattr(model, word)(code))

    @rule(plan=st.sampled_from(sorted(SIMS)), choice=st.integers(0, 3))
    def change_plan(self, plan: str, choice: int) -> None:
        code = self.contract(choice)
        if code is not None:
            self.act(do.ChangePlan(code, plan), lambda model: model.change_plan(code, plan))

    @rule(
        choice=st.integers(0, 3),
        names=st.tuples(*(st.none() | st.sampled_from(x) for x in (IMSIS, NUMBERS, CARDS))),
        voice=st.booleans(),
        issued=st.none() | st.integers(-1, 16),
    )
    def add_line(
        self,
        choice: int,
        names: tuple[str | None, str | None, str | None],
        voice: bool,
        issued: int | None,
    ) -> None:
        contract = self.contract(choice)
        if contract is None:
            return
        code = f"hdo{len(self.model.lines):08}"
        day = None if issued is None else self.model.now[0] - issued * DAY
        self.named.update(name for name in names if name)
        action = do.AddLine(
            contract,
            code,
            *names,
            voice=voice,
            port_in_issued_ns=None if day is None else ns_of((day, 0)),
        )
        self.act(action, lambda model: model.add_line(contract, code, names, voice, day))

    @rule(word=st.sampled_from(WORDS_OF_LINES), choice=st.integers(0, 4))
    def on_line(self, word: str, choice: int) -> None:
        code = self.line(choice)
        if code is not None:
            kind: Any = do.ACTIONS[word.replace("_", "-")]
            self.act(kind(line=code), lambda model: getattr(model, word)(code))

    @rule(card=st.sampled_from(CARDS), choice=st.integers(0, 4))
    def replace_sim(self, card: str, choice: int) -> None:
        code = self.line(choice)
        if code is not None:
            self.named.add(card)
            self.act(do.ReplaceSim(code, card), lambda model: model.replace_sim(code, card))

    @rule(
        to=st.sampled_from(("edge", "last day", "first", "days", "later")),
        days=st.integers(0, 9),
        clock=st.sampled_from(CLOCKS),
    )
    def let_time_pass(self, to: str, days: int, clock: int) -> None:
        today = self.model.now[0]
        first = next_month(today)
        edges = self.model.edges() or [first]
        edge = edges[days % len(edges)]
        day = {
            "edge": edge if clock <= 1 else edge - DAY,
            "last day": first - DAY,
            "first": first,
            "days": today + days * DAY,
            "later": today + days * 10 * DAY,
        }[to]
        now = max((day, clock), self.model.now)
        self.model.roll(now)

    @rule()
    def bring_forward(self) -> None:
        """Asked or not, what is due has happened: it makes no difference to anybody who looks."""
        self.take(book.advance(self.account, ns_of(self.model.now), SMALL))

    @invariant()
    def agree(self) -> None:
        now_ns = ns_of(self.model.now)
        seen = book.advance(self.account, now_ns, SMALL).account
        model = self.model
        assert (seen.lapsed_ns is not None) == model.lapsed
        contracts = {
            c.code: (c.state, c.plan, c.option("ipv6") is not None) for c in seen.contracts
        }
        options = {code: bool(one.option) for code, one in model.contracts.items()}
        assert {code: found[:2] for code, found in contracts.items()} == {
            code: (one.state, one.plan) for code, one in model.contracts.items()
        }
        for code in model.live():
            assert contracts[code][2] == options[code]
        lines = {line.code: line.state for one in seen.contracts for line in one.lines}
        assert lines == {code: line.state for code, line in model.lines.items()}
        codes = {MIO, *model.contracts, *model.lines}
        assert {name for _, name in documents.names(seen)} == codes | model.taken()
        assert documents.from_json(documents.to_json(seen)) == seen
        self.agree_on_admission(seen, now_ns)

    def agree_on_admission(self, seen: account.Account, now_ns: int) -> None:
        """Asked of the book brought forward; the last one, of the book as it is stored."""
        names = ["none", *sorted(self.named)]
        for name in names:
            book_asked = self.account if name == names[-1] else seen
            answer = admission(book_asked, name, now_ns, SMALL)
            found = self.model.bearer(name)
            assert (answer.line, answer.may_attach) == (found or (None, False)), name
        served = {
            line.code: line.in_service
            for one in views.to_book([seen], now_ns, SMALL).contracts
            for line in one.lines
        }
        assert served == {
            code: line.state == "in-service"
            for code, line in self.model.lines.items()
            if not line.removed and self.model.contracts[line.contract].started
        }
