"""The contract book on SQLite: a customer's document, found by any of its names, and its journal."""

import json
from collections.abc import Iterator, Sequence
from zlib import crc32

from engine.errors import PoolError
from engine.pool import sqlite_statements as sql
from engine.pool.bounds import checked_text, checked_time
from engine.pool.sqlite_journal import check_sum
from engine.pool.sqlite_session import Session
from engine.pool.store import REQUEST_CHARACTERS_MAX, Account, BookEntry

NAME_KINDS = ("mio", "contract", "line", "imsi", "iccid", "msisdn")


def content_sum(document: str, names: Sequence[tuple[str, str]]) -> int:
    """CRC-32 of a document and of all its names: a flipped bit in either is found by the audit."""
    return crc32(json.dumps([document, sorted(names)]).encode())


class Book(Session):
    """The part of the store that keeps the contract book."""

    def find_account(self, kind: str, name: str) -> Account | None:
        """The account that bears a name, or None. See `CouponStore.find_account`."""
        rows = self.db.run(sql.FIND_ACCOUNT, *_checked_name(kind, name))
        return Account(*rows[0]) if rows else None

    def save_account(
        self, account: Account, names: Sequence[tuple[str, str]], entry: BookEntry
    ) -> None:
        """Store a changed document, its names, and the change. See `CouponStore.save_account`."""
        mio_id, version, document = account
        wanted = list(dict.fromkeys([("mio", mio_id), *names]))
        for kind, name in wanted:
            _checked_name(kind, name)
        self._check_entry(account, entry)
        with self.atomic:
            stored = self.db.value(sql.VERSION, mio_id) or 0
            if version != stored + 1:
                raise PoolError(
                    f"account {mio_id}: version {stored} is stored, not {version - 1}: it was changed"
                    " by another process; read it again"
                )
            for kind, name, owner in self.db.run(sql.OWNERS, json.dumps(wanted)):
                if owner != mio_id:
                    raise PoolError(f"account {mio_id}: {kind} {name} is account {owner}'s already")
            self.db.run(sql.SAVE_ACCOUNT, mio_id, version, document)
            self.db.run(sql.FORGET_NAMES, mio_id)
            self.db.run_many(sql.ADD_NAME, [(kind, name, mio_id) for kind, name in wanted])
            columns = (*entry, content_sum(document, wanted))
            self.db.run(sql.ADD_ENTRY, *columns, check_sum(*columns))

    def _check_entry(self, account: Account, entry: BookEntry) -> None:
        """PoolError for a change that is not this account's, or text that no database takes."""
        if entry[:2] != account[:2]:
            raise PoolError(
                f"account {account.mio_id}: the entry is of version {entry.version} of"
                f" {entry.mio_id[:80]!r}, not of version {account.version}"
            )
        checked_time("at_ns", entry.at_ns)
        checked_text("action", entry.action)
        for text in (account.document, entry.detail):
            if "\0" in text or not _is_unicode(text):
                raise PoolError(f"account {account.mio_id}: text with a NUL or half a character")

    def accounts(self) -> Iterator[Account]:
        """Every account, in the order of the mioIDs; a few at a time, so that writers need not wait."""
        last = ""
        while rows := self.db.run(sql.ACCOUNTS, last):
            for row in rows:
                yield Account(*row)
            last = rows[-1][0]

    def book_entries(self, mio_id: str) -> list[BookEntry]:
        """The changes of one account, oldest first."""
        rows = self.db.run(sql.ENTRIES, _checked_name("mio", mio_id)[1])
        return [BookEntry(*row) for row in rows]


def _checked_name(kind: str, name: str) -> tuple[str, str]:
    """A name that an account may bear; PoolError for any other."""
    if kind not in NAME_KINDS:
        raise PoolError(f"name of kind {kind[:80]!r}: must be one of {', '.join(NAME_KINDS)}")
    return kind, checked_text(kind, name, REQUEST_CHARACTERS_MAX)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
