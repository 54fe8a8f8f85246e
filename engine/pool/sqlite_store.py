"""The coupon store on SQLite: its parts put together."""

from engine.pool import sqlite_audit
from engine.pool.sqlite_book import Book
from engine.pool.sqlite_coupons import Coupons
from engine.pool.sqlite_grants import Grants
from engine.pool.sqlite_usage import States
from engine.pool.store import StoreOptions


class SqliteStore(Coupons, Grants, States, Book):
    """A `CouponStore` in a SQLite file, or in memory when `path` is None.

    SQLite lets one process write at a time: a group, and what is deferred, keeps all others waiting
    (for `options.answer_ms`), readers apart.
    """

    def __init__(self, path: str | None, options: StoreOptions | None = None) -> None:
        super().__init__(path, options or StoreOptions())

    def audit(self) -> list[str]:
        """One line per broken invariant, naming the row (G6); [] when the books agree."""
        if self.db.in_transaction:
            self.journal.put_down()
        return sqlite_audit.audit(self.db, self.run_id)

    def settings(self) -> dict[str, str]:
        """SQLite's version and the settings in force."""
        return self.db.settings()
