"""Codes of mioIDs, contracts and lines: their form, and the next one that is free (A1)."""

import re
from collections.abc import Iterable
from typing import Literal

from engine.subscribers.account import Account
from engine.subscribers.refusals import refused

Kind = Literal["mio", "contract", "line"]
MIO: Kind = "mio"
CONTRACT: Kind = "contract"
LINE: Kind = "line"
PREFIXES: dict[Kind, str] = {MIO: "MA", CONTRACT: "hdd", LINE: "hdo"}
TITLES: dict[Kind, str] = {MIO: "mioID", CONTRACT: "service code", LINE: "line code"}
_TAIL = re.compile(r"[0-9A-Za-z]{8}")
_NUMBER = re.compile(r"[0-9]{8}")
_NUMBER_MAX = 99_999_999


def check(kind: Kind, code: str) -> str:
    """The code, if it has the form of its kind; else RefusedError (A1)."""
    prefix = PREFIXES[kind]
    if not code.startswith(prefix) or not _TAIL.fullmatch(code, len(prefix)):
        raise refused("code", code=code, what=TITLES[kind], prefix=prefix)
    return code


def next_code(kind: Kind, taken: Iterable[str]) -> str:
    """The code after the greatest that is a number; `taken` in any order, with other kinds or not.

    A code is not given twice, so `taken` holds those of ended contracts and removed lines too (`of`).
    RefusedError when the numbers are used up.
    """
    return Numbers(kind, taken).next()


class Numbers:
    """Codes of a kind, one after the other, beyond all that are taken; for many at once."""

    def __init__(self, kind: Kind, taken: Iterable[str]) -> None:
        self._kind = kind
        prefix = PREFIXES[kind]
        self._last = max(
            (
                int(code[len(prefix) :])
                for code in taken
                if code.startswith(prefix) and _NUMBER.fullmatch(code, len(prefix))
            ),
            default=0,
        )

    def next(self) -> str:
        """The next code; RefusedError when the numbers are used up."""
        self._last += 1
        if self._last > _NUMBER_MAX:
            raise refused("codes-out", what=TITLES[self._kind])
        return f"{PREFIXES[self._kind]}{self._last:08}"


def of(account: Account) -> list[tuple[Kind, str]]:
    """Every code that the account ever had, the mioID first; ended contracts and removed lines included."""
    found: list[tuple[Kind, str]] = [(MIO, account.mio_id)]
    for contract in account.contracts:
        found.append((CONTRACT, contract.code))
        found += [(LINE, line.code) for line in contract.lines]
    return found


def used(kind: Kind, accounts: Iterable[Account]) -> set[str]:
    """The codes of one kind that these accounts ever had."""
    return {code for account in accounts for one, code in of(account) if one == kind}
