"""The contract book on PostgreSQL: a customer's document, found by any of its names, and its journal."""

from collections.abc import Iterator, Sequence

from engine.errors import PoolError
from engine.pool.bounds import checked_text, checked_time
from engine.pool.postgres_session import Session
from engine.pool.postgres_statements import BOOK_SUM, CONTENT_SUM
from engine.pool.store import REQUEST_CHARACTERS_MAX, Account, BookEntry

NAME_KINDS = ("mio", "contract", "line", "imsi", "iccid", "msisdn")

_FIND_ACCOUNT = """
    SELECT a.mio_id, a.version, a.document FROM account_name n JOIN account a ON a.mio_id = n.mio_id
    WHERE n.kind = %(kind)s AND n.name = %(name)s
"""
# Makes the row, or holds it.
_HOLD_ACCOUNT = """
    SELECT version FROM account WHERE mio_id = %(mio_id)s FOR UPDATE
"""
_STORED = """
    SELECT version, document FROM account WHERE mio_id = %(mio_id)s
"""
_LAST_ENTRY = """
    SELECT mio_id, version, at_ns, action, detail FROM book_journal
    WHERE mio_id = %(mio_id)s AND version = %(version)s
"""
_OWNERS = """
    SELECT n.kind, n.name, n.mio_id FROM account_name n
    JOIN unnest(%(kinds)s::text[], %(names)s::text[]) AS said(kind, name)
        ON n.kind = said.kind AND n.name = said.name
    ORDER BY n.kind, n.name
"""
_SAVE_ACCOUNT = """
    INSERT INTO account (mio_id, version, document)
    VALUES (%(mio_id)s, %(version)s, %(document)s)
    ON CONFLICT (mio_id) DO UPDATE SET version = excluded.version, document = excluded.document
    WHERE account.version = excluded.version - 1
    RETURNING version
"""
_FORGET_NAMES = "DELETE FROM account_name WHERE mio_id = %(mio_id)s"
_ADD_NAMES = """
    INSERT INTO account_name (kind, name, mio_id)
    SELECT kind, name, %(mio_id)s FROM unnest(%(kinds)s::text[], %(names)s::text[]) AS said(kind, name)
    ORDER BY kind, name
"""
_ADD_ENTRY = f"""
    INSERT INTO book_journal (mio_id, version, at_ns, action, detail, content_sum, check_sum)
    SELECT mio_id, version, at_ns, action, detail, content_sum, {BOOK_SUM.format("")}
    FROM (SELECT a.mio_id, a.version, %(at_ns)s::bigint AS at_ns, %(action)s::text AS action,
                 %(detail)s::text AS detail, {CONTENT_SUM} AS content_sum
          FROM account a WHERE a.mio_id = %(mio_id)s) said
"""
_ENTRIES = """
    SELECT mio_id, version, at_ns, action, detail FROM book_journal WHERE mio_id = %(mio_id)s
    ORDER BY version
"""
_ACCOUNTS = """
    SELECT mio_id, version, document FROM account WHERE mio_id COLLATE "C" > %(last)s
    ORDER BY mio_id COLLATE "C" LIMIT 100
"""


class Book(Session):
    """The part of the store that keeps the contract book."""

    def find_account(self, kind: str, name: str) -> Account | None:
        """The account that bears a name, or None. See `CouponStore.find_account`."""
        _check_name(kind, name)
        said = {"kind": kind, "name": name}
        rows = self.read(lambda again: self.db.run(_FIND_ACCOUNT, said))
        return Account(*rows[0]) if rows else None

    def save_account(
        self, account: Account, names: Sequence[tuple[str, str]], entry: BookEntry
    ) -> None:
        """Store a changed document, its names, and the change. See `CouponStore.save_account`."""
        wanted = list(dict.fromkeys([("mio", account.mio_id), *names]))
        for kind, name in wanted:
            _check_name(kind, name)
        _check_entry(account, entry)
        said: dict[str, object] = {
            **account._asdict(),
            "kinds": [kind for kind, _ in wanted],
            "names": [name for _, name in wanted],
            "at_ns": checked_time("at_ns", entry.at_ns),
            "action": entry.action,
            "detail": entry.detail,
        }
        self.call(lambda again: self._save(said, again))

    def _save(self, said: dict[str, object], again: bool) -> None:
        with self.db.transaction():
            self.prove()
            mio_id, version = said["mio_id"], int(str(said["version"]))
            rows = self.db.run(_HOLD_ACCOUNT, said)
            stored = rows[0][0] if rows else 0
            if again and stored == version and self._is_stored(said):
                return
            if version != stored + 1:
                self._changed(said, stored)
            for kind, name, owner in self.db.run(_OWNERS, said):
                if owner != mio_id:
                    raise PoolError(f"account {mio_id}: {kind} {name} is account {owner}'s already")
            if not self.db.run(_SAVE_ACCOUNT, said):
                # Two processes made the account at once: the other one was quicker.
                self._changed(said, version)
            self.db.run(_FORGET_NAMES, said)
            self.db.run(_ADD_NAMES, said)
            self.db.run(_ADD_ENTRY, said)

    def _is_stored(self, said: dict[str, object]) -> bool:
        """Whether this very change was stored before the connection was lost."""
        names = ("mio_id", "version", "at_ns", "action", "detail")
        return self.db.run(_STORED, said) == [(said["version"], said["document"])] and self.db.run(
            _LAST_ENTRY, said
        ) == [tuple(said[name] for name in names)]

    def _changed(self, said: dict[str, object], stored: int) -> None:
        raise PoolError(
            f"account {said['mio_id']}: version {stored} is stored, not {int(str(said['version'])) - 1}:"
            " it was changed by another process; read it again"
        )

    def accounts(self) -> Iterator[Account]:
        """Every account, in the order of the mioIDs; a few at a time, so that no transaction lasts."""
        last = ""
        while rows := self._accounts_after(last):
            for row in rows:
                yield Account(*row)
            last = rows[-1][0]

    def _accounts_after(self, last: str) -> list[tuple[str, int, str]]:
        return self.read(lambda again: self.db.run(_ACCOUNTS, {"last": last}))

    def book_entries(self, mio_id: str) -> list[BookEntry]:
        """The changes of one account, oldest first."""
        _check_name("mio", mio_id)
        rows = self.read(lambda again: self.db.run(_ENTRIES, {"mio_id": mio_id}))
        return [BookEntry(*row) for row in rows]


def _check_entry(account: Account, entry: BookEntry) -> None:
    """PoolError for a change that is not this account's, or text that no database takes."""
    if entry[:2] != account[:2]:
        raise PoolError(
            f"account {account.mio_id}: the entry is of version {entry.version} of"
            f" {entry.mio_id[:80]!r}, not of version {account.version}"
        )
    checked_text("action", entry.action)
    for text in (account.document, entry.detail):
        if "\0" in text or not _is_unicode(text):
            raise PoolError(f"account {account.mio_id}: text with a NUL or half a character")


def _check_name(kind: str, name: str) -> None:
    """PoolError for a name that an account cannot bear."""
    if kind not in NAME_KINDS:
        raise PoolError(f"name of kind {kind[:80]!r}: must be one of {', '.join(NAME_KINDS)}")
    checked_text(kind, name, REQUEST_CHARACTERS_MAX)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
