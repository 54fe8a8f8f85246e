"""Changes of the contract book: book and coupon database change together, or neither does.

An account is read, changed by a pure function of `engine.subscribers.book`, and stored again with what
follows from it in the coupon database, in one transaction.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from engine.cli import subscribers_ledger as ledger
from engine.errors import PktollError, PoolError, PoolUnavailable
from engine.pool.bounds import checked_text
from engine.pool.store import Account as Stored
from engine.pool.store import BookEntry
from engine.subscribers import book, codes, documents
from engine.subscribers.account import Account, Contract, Line, resolve
from engine.subscribers.actions import Action
from engine.subscribers.effects import Effect

if TYPE_CHECKING:
    from engine.config import Settings
    from engine.pool import CouponStore

LINE_KINDS = ("line", "iccid", "imsi", "msisdn")
"""kinds of names of a line, in the order in which they are tried"""
EVERY_KIND = ("mio", "contract", *LINE_KINDS)


class Found(NamedTuple):
    """Who bears a name: version 0 is an account that is not stored yet."""

    account: Account
    version: int
    contract: Contract | None = None
    line: Line | None = None
    effects: tuple[Effect, ...] = ()
    """what has followed so far: a new account was opened"""

    def code(self, of: str) -> str:
        """The code of the "contract" or "line" that was found."""
        bearer = self.contract if of == "contract" else self.line
        assert bearer is not None
        return bearer.code


@dataclass(frozen=True, slots=True)
class Change:
    """An account that was changed; `remarks`: what the coupon database could not do yet."""

    account: Account
    version: int
    action: str
    detail: str
    effects: tuple[Effect, ...]
    remarks: tuple[str, ...] = ()


_T = TypeVar("_T")
Make = Callable[[Found, "Desk"], Action]
"""what is to be done with whoever was found"""


@dataclass(frozen=True, slots=True)
class Desk:
    """The contract book of an open coupon database, at an instant."""

    store: "CouponStore"
    settings: "Settings"
    at_ns: int

    # --- looking ----------------------------------------------------------------------------------

    def find(self, name: str, kinds: Sequence[str]) -> Found:
        """The account with that name, and what bears the name; PktollError where there is none."""
        checked_text("name", name)
        for kind in kinds:
            stored = self.store.find_account(kind, name)
            if stored is not None:
                account = documents.from_json(stored.document)
                contract, line = resolve(account, name)
                if contract is None and kind != "mio":
                    raise PoolError(
                        f"contract book: {account.mio_id} is found by {name!r}, but nothing in it bears "
                        "this name; see: pktoll pool audit"
                    )
                return Found(account, stored.version, contract, line)
        raise PktollError(
            f"{name!r}: the contract book has no {_words(kinds)} of this name; "
            "see: pktoll subscribers list"
        )

    def accounts(self) -> Iterator[Found]:
        """Every account, in the order of the mioIDs."""
        for stored in self.store.accounts():
            yield Found(documents.from_json(stored.document), stored.version)

    def next_code(self, kind: codes.Kind) -> str:
        """The next code that nobody has or had (A1)."""
        return codes.next_code(kind, codes.used(kind, (found.account for found in self.accounts())))

    # --- changing ---------------------------------------------------------------------------------

    def change(self, name: str, kinds: Sequence[str], make: Make) -> Change:
        """Do with whoever bears the name what `make` says; once more where another was quicker.

        RefusedError, and nothing is changed, where a rule does not allow it.
        """
        return self._repeated(
            lambda: self.find(name, kinds), lambda found: self._change(found, make)
        )

    def apply(self, mio_id: str | None, make: Make) -> Change:
        """An application under that mioID, or under a new one (A1)."""
        return self._repeated(
            lambda: self._applicant(mio_id), lambda found: self._change(found, make)
        )

    def store_new(self, accounts: Sequence[Account], action: str, detail: str) -> None:
        """Store accounts that are new; in an open group."""
        for account in accounts:
            self.save(Found(account, 0), account, action, detail)

    def save(self, found: Found, account: Account, action: str, detail: str) -> int:
        """Store an account that was changed, as the next version; PoolError where another was quicker."""
        version = found.version + 1
        entry = BookEntry(account.mio_id, version, self.at_ns, action, detail)
        stored = Stored(account.mio_id, version, documents.to_json(account))
        self.store.save_account(stored, documents.names(account), entry)
        return version

    def advance(self) -> list[Change]:
        """Do in every account what falls due by itself; the accounts that this changed."""
        made = [
            self._repeated(partial(self.find, stored.mio_id, ("mio",)), self._advance)
            for stored in list(self.store.accounts())
        ]
        return [change for change in made if change is not None]

    @contextlib.contextmanager
    def group(self) -> Iterator[None]:
        """All of what is done meanwhile, or nothing."""
        self.store.begin()
        try:
            yield
        except BaseException:
            self.store.rollback()
            raise
        self.store.commit()

    def _applicant(self, mio_id: str | None) -> Found:
        if mio_id is None:
            mio_id = self.next_code(codes.MIO)
        else:
            checked_text("name", mio_id)
            stored = self.store.find_account("mio", mio_id)
            if stored is not None:
                return Found(documents.from_json(stored.document), stored.version)
        account, effects = book.open_account(mio_id, self.at_ns)
        return Found(account, 0, effects=effects)

    def _repeated(self, look: Callable[[], Found], do: Callable[[Found], _T]) -> _T:
        """Do it with who is found; once more where another process has changed the account meanwhile."""
        before = look()
        try:
            return do(before)
        except PoolUnavailable:
            raise
        except PoolError:
            now = look()
            if (now.account.mio_id, now.version) == (before.account.mio_id, before.version):
                raise
        return do(now)

    def _change(self, found: Found, make: Make) -> Change:
        action = make(found, self)
        account, followed = book.perform(found.account, action, self.at_ns, self.settings)
        effects = (*found.effects, *followed)
        detail = book.describe(action)
        with self.group():
            version = self.save(found, account, action.do, detail)
            remarks = ledger.apply(self.store, account, effects)
            ledger.credit(self.store, found.account, account, self.settings, self.at_ns)
        return Change(account, version, action.do, detail, effects, tuple(remarks))

    def _advance(self, found: Found) -> Change | None:
        account, effects = book.advance(found.account, self.at_ns, self.settings)
        with self.group():
            version = found.version
            if account is not found.account:
                version = self.save(found, account, "advance", "")
            remarks = [
                *ledger.apply(self.store, account, effects),
                *ledger.remove_left(self.store, account, effects),
            ]
            credited = ledger.credit(self.store, found.account, account, self.settings, self.at_ns)
        if not (effects or remarks or credited):
            return None
        return Change(account, version, "advance", "", effects, (*remarks, *credited))


def _words(kinds: Sequence[str]) -> str:
    names = {"mio": "mioID", "imsi": "IMSI", "iccid": "ICCID", "msisdn": "telephone number"}
    *most, last = (names.get(kind, kind) for kind in kinds)
    return f"{', '.join(most)} or {last}" if most else last
