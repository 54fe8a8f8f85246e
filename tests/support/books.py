"""A desk for tests of the contract book: an account that actions are done to, at Japan's times."""

import pytest

from engine import config
from engine.errors import RefusedError
from engine.subscribers import actions as do
from engine.subscribers import book, moment
from engine.subscribers.account import Account, Contract, Line, find_contract, find_line
from engine.subscribers.actions import Action
from engine.subscribers.effects import Effect

SETTINGS = config.load(None)
MIO = "MA00000001"
FIRST = "hdd00000001"
SECOND = "hdd00000002"
LINES = ("hdo00000001", "hdo00000002", "hdo00000003", "hdo00000004")
LAST_NS = ".999999999"
"""of a second: the last instant before the next one"""


def at(text: str) -> int:
    """ns of a Japanese date, or date and time: "2013-11-01", "2013-11-01 20:00:00.000000001"."""
    day, _, clock = text.partition(" ")
    return moment.parse(f"{day}T{clock or '00:00:00'}+09:00")


class Desk:
    """One account; what is refused leaves it as it was, which every refusal is checked for."""

    def __init__(self, when: str, settings: config.Settings = SETTINGS) -> None:
        self.settings = settings
        self.account, _ = book.open_account(MIO, at(when))

    def do(self, action: Action, when: str) -> list[Effect]:
        """Do it; the effects."""
        outcome = book.perform(self.account, action, at(when), self.settings)
        self.account = outcome.account
        return list(outcome.effects)

    def refuses(self, action: Action, when: str, words: str) -> None:
        """It is refused in one line with these words in it, and nothing has changed."""
        before = self.account
        with pytest.raises(RefusedError) as caught:
            book.perform(self.account, action, at(when), self.settings)
        text = str(caught.value)
        assert words in text
        assert text.isprintable()
        assert self.account is before

    def forward(self, when: str) -> list[Effect]:
        """Let time pass; what fell due. Doing it twice is doing it once."""
        outcome = book.advance(self.account, at(when), self.settings)
        again = book.advance(outcome.account, at(when), self.settings)
        assert again.account is outcome.account
        assert again.effects == ()
        self.account = outcome.account
        return list(outcome.effects)

    def contract(self, code: str = FIRST) -> Contract:
        """The contract with this code."""
        found = find_contract(self.account, code)
        assert found is not None
        return found

    def line(self, code: str = LINES[0]) -> Line:
        """The line with this code."""
        found = find_line(self.account, code)
        assert found is not None
        return found[1]


def named_line(number: int, **fields: object) -> do.AddLine:
    """Add line `number` of the first contract, with IMSI, telephone number and card."""
    names = {
        "imsi": f"44010000000000{number}",
        "msisdn": f"81900000000{number}",
        "iccid": f"898110000000000000{number}",
    }
    return do.AddLine(FIRST, LINES[number - 1], **{**names, **fields})  # type: ignore[arg-type]


def family(lines: int = 2, when: str = "2013-11-05 10:00:00") -> Desk:
    """A Family Share contract in use since `when`, with lines 1 to `lines`."""
    desk = Desk(when)
    desk.do(do.Apply(FIRST, plan="family-share"), when)
    for number in range(1, lines + 1):
        desk.do(named_line(number), when)
    desk.do(do.Start(FIRST), when)
    return desk


def only(account: Account) -> Contract:
    """The account's one contract."""
    (contract,) = account.contracts
    return contract
