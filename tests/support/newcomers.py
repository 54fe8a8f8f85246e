"""New SIMs in a coupon store on SQLite: credited, opened and given a slice, and the rows that it leaves."""

from engine.pool import Grant
from engine.pool.sqlite_store import SqliteStore
from engine.pool.store import Credit, Request
from engine.units import MB

END = 1_700_000_000 * 10**9
TABLES = ("contract", "coupon", "line", "slice", "slice_part", "journal")


def coupon(name: str, contract: str, size: int = 25 * MB, until_ns: int = END) -> Credit:
    return Credit(name, contract, "bundle", size, 0, until_ns)


def newcomers(store: SqliteStore, first: int, count: int) -> list[Grant]:
    """As many new SIMs, each of a contract of its own, with a slice each."""
    numbers = range(first, first + count)
    store.credit_all([coupon(f"c{number}", f"hdd{number}") for number in numbers])
    store.open_lines([(f"hdd{number}", f"hdo{number}", 0) for number in numbers])
    asked = [Request(f"r{number}", f"hdd{number}", f"hdo{number}", number) for number in numbers]
    return store.grant_all(asked)


def contents(store: SqliteStore) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the tables that know coupons and lines."""
    store.audit()
    return {name: store.db.run(f"SELECT * FROM {name} ORDER BY 1, 2") for name in TABLES}
