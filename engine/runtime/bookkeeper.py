"""Between an engine and the contract book in its coupon database: who may attach, what was changed."""

from collections.abc import Iterable

from engine.config import Settings
from engine.errors import AttachError, PoolError, PoolUnavailable, RefusedError
from engine.pool.store import Account as Stored
from engine.pool.store import BookEntry, CouponStore
from engine.subscribers import Book, book, documents, views
from engine.subscribers.account import Account, find_line
from engine.subscribers.actions import ReplaceSim, Resume, Suspend
from engine.subscribers.admission import admission
from engine.subscribers.effects import Effect

Action = Suspend | Resume | ReplaceSim


class Bookkeeper:
    """Looks lines up in the contract book of a coupon database, and enters suspensions, resumptions and new
    cards there, if the line is in it; what the book's rules refuse is not to be done either."""

    def __init__(self, store: CouponStore, settings: Settings) -> None:
        self._store, self._settings = store, settings

    def admit(
        self, names: Iterable[tuple[str, str | None]], at_ns: int
    ) -> tuple[Book, str, bool] | None:
        """The contracts of the account that bears one of these (kind, name), the line's code, and whether
        it may have IPv6 (O1); None where no account does.

        AttachError for a line that may not attach at `at_ns` (L1-L3, A4).
        """
        if not self._store.lasting:
            return None
        for kind, name in names:
            stored = None if name is None else self._store.find_account(kind, name)
            if stored is None or name is None:
                continue
            account = documents.from_json(stored.document)
            answer = admission(account, name, at_ns, self._settings, kind)
            if not answer.may_attach:
                raise AttachError(answer.kind, f"attach: {answer.reason}")
            assert answer.line is not None
            return views.to_book([account], at_ns, self._settings), answer.line, answer.ipv6
        return None

    def enter(self, action: Action, at_ns: int) -> tuple[Effect, ...]:
        """What follows. RefusedError, and nothing is changed, where a rule does not allow it.

        A line that is in that state already stays as it is. The book's time never goes back: an account
        that was changed later than `at_ns` is changed as of then.
        """
        if not self._store.lasting:
            return ()
        stored = self._store.find_account("line", action.line)
        if stored is None:
            return ()
        try:
            return self._enter(stored, action, at_ns)
        except PoolUnavailable:
            raise
        except PoolError as error:
            now = self._store.find_account("line", action.line)
            if now is None or now.version == stored.version:
                raise RefusedError(f"{action.do}: {error}") from None
        return self._enter(now, action, at_ns)  # another process was quicker

    def _enter(self, stored: Stored, action: Action, at_ns: int) -> tuple[Effect, ...]:
        account = documents.from_json(stored.document)
        if _is_so(account, action):
            return ()
        at_ns = max(at_ns, account.changed_ns)
        changed, effects = book.perform(account, action, at_ns, self._settings)
        version = stored.version + 1
        entry = BookEntry(account.mio_id, version, at_ns, action.do, book.describe(action))
        document = Stored(account.mio_id, version, documents.to_json(changed))
        self._store.save_account(document, documents.names(changed), entry)
        return effects


def _is_so(account: Account, action: Action) -> bool:
    found = find_line(account, action.line)
    states = {Suspend: "suspended", Resume: "in-service"}
    return found is not None and found[1].state == states.get(type(action))
