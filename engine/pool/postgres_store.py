"""The coupon store on PostgreSQL: its parts put together."""

from engine.pool import postgres_audit
from engine.pool.postgres_book import Book
from engine.pool.postgres_grants import Grants
from engine.pool.postgres_usage import States
from engine.pool.store import StoreOptions


class PostgresStore(Grants, States, Book):
    """A `CouponStore` in a PostgreSQL database that many gateways share.

    Each call is a transaction of its own, so that nobody waits for another gateway's batch: deferred
    calls are committed at once, and `flush` waits until the log is on disk. Rows that two gateways
    may want at the same time are those of one contract only.
    """

    lasting = True

    def __init__(self, url: str, options: StoreOptions | None = None) -> None:
        super().__init__(url, options or StoreOptions())

    def audit(self) -> list[str]:
        """One line per broken invariant, naming the row (G6); [] when the books agree."""
        return self.read(lambda again: postgres_audit.audit(self.db, self.run_id))

    def settings(self) -> dict[str, str]:
        """The server's version and the settings that promises rest on, as it said when connecting."""
        return {"postgresql": self.db.server["server_version"], **self.db.server}
